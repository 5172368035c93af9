"""The list of cases, and how one is added: the cases themselves are in number_cases.py and map_cases.py."""

CASES = []


def case(op, p, *, name="", floor=None, tolerance=None, heavy=False, **inputs):
    """
    A case of an operation. `inputs` change the specs of inputs: a dict is merged into the spec. `floor` overrides the
    size by which errors are measured, result by result. Heavy cases run in the task only, not among the tests; those
    heavy on the workgroup path, which a CPU runs slowly, are tested on the other.
    """
    parts = [f"{key}={show(value)}" for key, value in p.items()]
    title = " ".join(parts + ([name] if name else []))
    CASES.append({"op": op, "name": title, "p": p, "change": inputs, "floor": floor, "tolerance": tolerance, "heavy": heavy})


def show(value):
    if isinstance(value, list):
        return "[" + ",".join(map(show, value)) + "]"
    if isinstance(value, dict):
        return "{" + " ".join(f"{k}={show(v)}" for k, v in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def put(*values):
    """Special numbers at the first places."""
    return {"special": {str(i): value for i, value in enumerate(values)}}
