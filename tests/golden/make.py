"""Write golden.jsonl: what PyTorch says, in float64, of every case, and what its float32 loses.

Run: /usr/bin/python3 make.py [--check]    (the stored file was made with Debian's PyTorch 1.13)

Inputs are not stored: values.py and values.ts make the same numbers from a case's name. Of a large result a number
of places is kept, and weighted sums of blocks of the whole. Each line of the file is JSON: first the operations, then
the cases. With --check nothing is written, and a file that differs is an error. The float32 column is the machine's
that made the file; nothing else in it depends on the machine.
"""

import json
import pathlib
import sys

import numpy as np
import torch

import cell_operations  # noqa: F401 adds operations, as the next ones
import layer_cases  # noqa: F401
import losses  # noqa: F401
import map_cases  # noqa: F401 adds cases
import map_operations  # noqa: F401
import number_cases  # noqa: F401
import variable_cases  # noqa: F401
import variable_operations  # noqa: F401
from cases import CASES
from operations import OPERATIONS
from values import error, make, seed_of, summarise, typical

FILE = pathlib.Path(__file__).with_name("golden.jsonl")


def spec_of(given, change):
    return {**(given if isinstance(given, dict) else {"shape": given}), **change}


def tensor(values, dtype):
    if values.dtype == np.uint32:
        return torch.from_numpy(values.astype(np.int64))
    return torch.from_numpy(values.astype(np.float64)).to(dtype)


def results_of(operation, case, specs, dtype):
    """The results and gradients in one precision; adds the specs of what flows back to `specs`."""
    key = f"{case['op']} {case['name']} "
    inputs = {name: tensor(make(spec, seed_of(key + name)), dtype) for name, spec in specs.items() if name not in upstream(operation)}
    wanted = [
        name
        for name, x in inputs.items()
        if operation.upstream and x.is_floating_point() and name not in operation.fixed
        if name in case["p"].get("wanted", inputs)
    ]
    for name in wanted:
        inputs[name].requires_grad_()
    results = operation.run(case["p"], **inputs)
    outs, grads = [], []
    for name in operation.upstream:
        result = results[name]
        change = case["change"].get(f"d{name}", {"fill": 1} if result.dim() == 0 or operation.ones else {})
        specs[f"d{name}"] = spec_of(list(result.shape), change)
        outs.append(result)
        inputs[f"d{name}"] = tensor(make(specs[f"d{name}"], seed_of(key + f"d{name}")), dtype)
        grads.append(inputs[f"d{name}"])
    if outs:
        torch.autograd.backward(outs, grads)
    gradients = {f"d{name}": inputs[name].grad for name in wanted}
    return inputs, {name: x.detach() for name, x in {**results, **gradients}.items()}


def upstream(operation):
    return [f"d{name}" for name in operation.upstream]


def run_case(case):
    operation = OPERATIONS[case["op"]]
    specs = {}
    for name, given in operation.inputs(case["p"]).items():
        specs[name] = spec_of(given, case["change"].get(name, {}))
    unknown = set(case["change"]) - set(specs) - set(upstream(operation))
    if unknown:
        raise ValueError(f"{case['op']} has no inputs {unknown}")
    inputs, exact = results_of(operation, case, specs, torch.float64)
    single = results_of(operation, case, specs, torch.float32)[1] if operation.torch else None
    floors = {**operation.floors(case["p"], inputs, exact), **(case["floor"] or {})}
    out, worst = {}, None
    for name, value in exact.items():
        value = value.double().numpy()
        floor = floors.get(name)
        if floor is None or not (floor == "own" or np.isfinite(floor)):
            floor = typical(value)
        other = single[name].double().numpy() if single else None
        out[name] = summarise(value, other, 0 if floor == "own" else floor)
        if single:
            worst = max(worst or 0.0, error(out[name], other))
    line = {"op": case["op"], "name": case["name"], "p": case["p"], "in": specs, "out": out}
    if worst == np.inf:
        print("PyTorch's float32 is not finite where its float64 is, or the reverse:", case["op"], case["name"])
    elif worst is not None:
        line["torch"] = float(f"{worst:.2g}")
    if case["tolerance"] is not None:
        line["tolerance"] = case["tolerance"]
    if case["heavy"]:
        line["heavy"] = case["heavy"]
    return line


def main():
    torch.set_num_threads(1)
    keys = [(case["op"], case["name"]) for case in CASES]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise ValueError(f"cases twice: {twice}")
    if not all("".join(key).isascii() for key in keys):
        raise ValueError("the names of cases are hashed: plain letters only")
    missing = set(OPERATIONS) - {op for op, _ in keys}
    if missing:
        raise ValueError(f"operations without a case: {missing}")
    head = {name: {"torch": one.torch, "tolerance": one.tolerance} for name, one in OPERATIONS.items()}
    lines = [json.dumps(head)]
    for case in CASES:
        try:
            lines.append(json.dumps(run_case(case), separators=(",", ":"), allow_nan=False))
        except Exception as e:
            raise RuntimeError(f"{case['op']} {case['name']}") from e
    text = "\n".join(lines) + "\n"
    print(f"{len(lines) - 1} cases of {len(OPERATIONS)} operations, {len(text)} bytes")
    if "--check" in sys.argv:
        if FILE.read_text() != text:
            raise SystemExit("golden.jsonl differs")
    else:
        FILE.write_text(text)


if __name__ == "__main__":
    main()
