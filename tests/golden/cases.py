"""The cases of the table: sizes that are odd, prime, 1, multiples of 4 and above every limit, ties, and extremes."""

from itertools import product

CASES = []


def case(op, p, *, name="", floor=None, tolerance=None, heavy=False, lax=(), **inputs):
    """
    A case of an operation. `inputs` change the specs of inputs: a dict is merged into the spec. `floor` overrides the
    size by which errors are measured, result by result. Heavy cases run in the task only, not among the tests; those
    heavy on the workgroup path, which a CPU runs slowly, are tested on the other. Where PyTorch's
    numbers of the results `lax` are not finite, neckar's need only not be finite either.
    """
    parts = [f"{key}={show(value)}" for key, value in p.items()]
    title = " ".join(parts + ([name] if name else []))
    CASES.append({"op": op, "name": title, "p": p, "change": inputs, "floor": floor, "tolerance": tolerance, "heavy": heavy, "lax": lax})


def show(value):
    if isinstance(value, list):
        return "[" + ",".join(map(show, value)) + "]"
    if isinstance(value, dict):
        return "{" + " ".join(f"{k}={show(v)}" for k, v in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def put(*values):
    """Special numbers at the first places."""
    return {"special": {str(i): value for i, value in enumerate(values)}}


EXTREMES = ["nan", "inf", "-inf", 0, "-0", 1e30, -1e30, 1e-30, -1e-30, 88.5, -88.5, 104, -104, 16, -16, 61, -61, 3e38]
LARGE_K = [3201, 3204, 4279, 11903, 34957, 34960, 65535, 65536, 65537, 262145, 262148]


def numbers():
    sizes = [[1], [3], [4], [5], [7, 9], [63], [64], [65], [4, 16, 4], [1021], [257, 17], [65537]]
    for op in ["relu", "tanh", "sigmoid"]:
        for shape in sizes:
            case(op, {"shape": shape})
        for n in [len(EXTREMES), 20, 37]:
            case(op, {"shape": [n]}, name="extremes", x={**put(*EXTREMES), "scale": 3})
        for scale in [1e-30, 1e-6, 0.01, 8, 30]:
            case(op, {"shape": [61]}, name=f"up to {scale}", x={"scale": scale})
        case(op, {"shape": [61]}, name="at zero", x={"levels": 3, "low": -1})
        case(op, {"shape": [20]}, name="extreme gradients", dy=put("nan", "inf", "-inf", 1e30, -1e30, 1e-30, "-0"))
    for shape in [[1], [7], [64], [3, 341]]:
        case("one variable used three times", {"shape": shape})
    for shape in [[1], [4], [5], [11, 13], [1024]]:
        case("add", {"shape": shape})
        case("accumulate", {"shape": shape})
        case("blend", {"shape": shape, "rate": 0.3})
        case("scaleBy", {"shape": shape})
        case("add scaled", {"shape": shape, "scale": -0.7})
        case("dropout", {"shape": shape, "p": 0.5, "key": [7, 4294967295]})
        case("clampInPlace", {"shape": shape, "low": -0.5, "high": 0.25})
    for op in ["add", "accumulate"]:
        case(op, {"shape": [20]}, name="extremes", a=put(*EXTREMES), b=put("inf", "inf", "inf", 1, 2, 1e30, 1e30))
    case("blend", {"shape": [20], "rate": 0.25}, name="extremes", a=put("nan", "inf", 1e30, 1e-30, 0, 1), b=put(1, 1, 1, 1, "nan", "inf"))
    case("blend", {"shape": [7], "rate": 0})
    case("blend", {"shape": [7], "rate": 1})
    case("scaleBy", {"shape": [20]}, name="extremes", x=put(*EXTREMES))
    case("scaleBy", {"shape": [5]}, name="by NaN", factor={"fill": 0, **put("nan")})
    case("scaleBy", {"shape": [5]}, name="by infinity", factor={"fill": 0, **put("inf")})
    case("clampInPlace", {"shape": [20], "low": -2.5, "high": 3.5}, name="extremes", x=put(*EXTREMES))
    case("clampInPlace", {"shape": [8], "low": 0, "high": 0})
    case("dropout", {"shape": [1021], "p": 0.1, "key": [0, 0]})
    case("dropout", {"shape": [1021], "p": 0.9, "key": [4294967295, 1]})
    case("dropout", {"shape": [20], "p": 0, "key": [1, 2]})
    case("Dropout layer", {"shape": [5, 7], "p": 0.3, "seed": 11})
    case("Dropout layer", {"shape": [64], "p": 0.5, "seed": 4294967295})
    for shape in [[1, 1, 1], [2, 3, 5], [3, 2, 4], [7, 1, 13], [1, 9, 8], [17, 33, 5]]:
        case("swapBatchAndTime", {"shape": shape})
    for shape, to in [[[6], [2, 3]], [[4, 5], [5, 4]], [[3, 1, 7], [21]], [[1], [1, 1, 1]]]:
        case("reshape", {"shape": shape, "to": to})
    for shape, to, shift in [
        [[1, 3, 5, 3], [1, 3, 5, 4], [0, 0]],
        [[2, 3, 5, 3], [2, 7, 9, 8], [2, 1]],
        [[2, 6, 5, 4], [2, 3, 2, 3], [0, 0]],
        [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0]],
        [[3, 4, 2, 8], [3, 4, 2, 7], [0, 0]],
        [[1, 1, 1, 70001], [1, 1, 1, 70004], [0, 0]],
        [[1, 1, 1, 70004], [1, 1, 1, 70001], [0, 0]],
    ]:
        case("fit", {"shape": shape, "to": to, "shift": shift})


def sums():
    for n in [1, 2, 3, 63, 64, 65, 1021, 65537, 262147]:
        case("sum", {"shape": [n]})
    for n in [1, 5, 64, 4099]:
        case("sum", {"shape": [n], "square": True, "scale": 0.5})
    case("sum", {"shape": [1021]}, name="ones", x={"fill": 1})
    case("sum", {"shape": [100003], "scale": -3}, name="ones", x={"fill": 1})
    case("sum", {"shape": [4300003]}, x={"low": 0.5}, heavy=True)
    for values in [["nan"], ["inf"], ["-inf"], ["inf", "-inf"], [1e30, -1e30], [3e38, 3e38]]:
        case("sum", {"shape": [21]}, name=" ".join(map(str, values)), x=put(*values))
    case("sum", {"shape": [21], "square": True}, name="1e30", x=put(1e30))
    case("sum", {"shape": [21], "square": True}, name="1e-30", x={"scale": 1e-30}, floor={"sum": 1e-36})
    for shape in [[1], [4, 3], [1021]]:
        case("sumAll", {"shape": shape})
    for shape in [[1, 1], [1, 4], [3, 5], [4, 8], [255, 3], [256, 4], [257, 3], [1021, 7], [1024, 12], [70001, 3], [70001, 4], [131101, 1]]:
        case("columnSum", {"shape": shape})
    for p in [{"shape": [37, 11], "at": 3, "columns": 5}, {"shape": [300, 12], "at": 4, "columns": 8}, {"shape": [9, 8], "at": 8, "columns": 0}]:
        case("columnSum", p)
    case("columnSum", {"shape": [9, 6]}, name="extremes", x=put("nan", "inf", "-inf", 1e30, 3e38, 1e-30))


SIZES = [
    [1, 1, 1], [1, 4, 1], [2, 3, 5], [4, 4, 4], [5, 7, 3], [7, 11, 13], [8, 16, 32], [16, 64, 20], [17, 31, 33], [31, 37, 65],
    [33, 17, 64], [64, 60, 68], [65, 129, 67], [100, 25, 4],
]


def products():
    for (m, k, n), (ta, tb) in product(SIZES, product([False, True], repeat=2)):
        case("matmul", {"m": m, "k": k, "n": n, "transA": ta, "transB": tb})
    for m, k, n in [[1, 1, 1], [3, 5, 7], [8, 8, 8], [33, 12, 70]]:
        case("matmul", {"m": m, "k": k, "n": n, "bias": True})
    for k in LARGE_K:
        cost = {"heavy": "workgroup" if k > 65537 else False, "tolerance": 5e-5 if k > 65535 else None}
        case("matmul", {"m": 1, "k": k, "n": 3}, **cost)
        case("matmul", {"m": 3, "k": k, "n": 4, "transA": True, "transB": True}, **cost)
    case("matmul", {"m": 4, "k": 262148, "n": 4}, **cost)
    case("matmul", {"m": 25, "k": 4279, "n": 5, "bias": True})
    case("matmul", {"m": 64, "k": 3201, "n": 9})
    case("matmul", {"m": 64, "k": 4999, "n": 64}, name="ones", a={"fill": 1}, b={"fill": 1})
    case("matmul", {"m": 3, "k": 5000, "n": 4}, name="ones", a={"fill": 1}, b={"fill": 1})
    for value in ["nan", "inf", "-inf", 1e30, 1e-30, 1e20]:
        case("matmul", {"m": 5, "k": 6, "n": 7}, name=f"{value} in a", a=put(value))
        case("matmul", {"m": 4, "k": 8, "n": 4}, name=f"{value} in b", b=put(value))
    case("matmul", {"m": 4, "k": 8, "n": 4}, name="inf times 0", a=put("inf"), b={"fill": 0})
    case("matmul", {"m": 5, "k": 6, "n": 7, "bias": True}, name="NaN in the bias", bias=put("nan", "inf"))
    case("matmul", {"m": 5, "k": 7, "n": 9}, name="tiny", a={"scale": 1e-15}, b={"scale": 1e-15})
    for m, d, k in [[1, 1, 1], [3, 5, 7], [4, 8, 12], [33, 17, 9], [2, 4999, 3], [5003, 3, 2], [70001, 1, 3]]:
        case("linear", {"lead": [m], "d": d, "k": k, "bias": True}, heavy="workgroup" if m > 70000 else False)
    case("linear", {"lead": [6], "d": 5, "k": 4})
    case("linear", {"lead": [6], "d": 5, "k": 3, "bias": True}, name="NaN upstream", dy=put("nan"))
    for t, n, d, k in [[1, 1, 1, 1], [3, 2, 5, 7], [4, 3, 8, 4], [2, 2003, 50, 3], [5, 7, 3, 1009], [3, 2, 9, 4999]]:
        case("temporalLinear", {"lead": [t, n], "d": d, "k": k, "bias": True})
    for m, d, k, bias in [[1, 1, 1, True], [5, 3, 7, True], [8, 4, 12, False], [33, 65, 10, True]]:
        case("Linear layer", {"lead": [m], "d": d, "k": k, "bias": bias})


def convolutions():
    for x, w, stride, padding in [
        [[1, 1, 1, 1], [1, 1, 1, 1], 1, 0],
        [[1, 5, 5, 1], [3, 3, 1, 1], 1, 1],
        [[2, 7, 6, 3], [3, 3, 3, 8], 1, 1],
        [[1, 8, 8, 3], [7, 7, 3, 5], 2, 3],
        [[2, 9, 11, 4], [3, 3, 4, 4], 2, 1],
        [[2, 9, 11, 4], [3, 3, 4, 4], 3, 0],
        [[1, 6, 7, 5], [1, 1, 5, 7], 1, 0],
        [[1, 6, 7, 8], [1, 1, 8, 12], 2, 0],
        [[1, 6, 7, 8], [1, 1, 8, 4], 1, 1],
        [[3, 5, 4, 7], [2, 3, 7, 6], 1, 1],
        [[1, 4, 9, 12], [3, 5, 12, 16], 1, 2],
        [[1, 13, 13, 16], [3, 3, 16, 16], 1, 1],
        [[1, 14, 14, 20], [5, 5, 20, 3], 1, 2],
        [[2, 4, 4, 32], [3, 3, 32, 64], 1, 1],
        [[1, 3, 3, 64], [3, 3, 64, 36], 1, 1],
        [[1, 10, 10, 2], [4, 4, 2, 3], 4, 0],
        [[1, 3, 3, 4], [3, 3, 4, 4], 1, 0],
        [[1, 2, 2, 4], [3, 3, 4, 4], 1, 1],
        [[5, 1, 17, 3], [1, 3, 3, 4], 1, 1],
        [[1, 33, 31, 1], [3, 3, 1, 4], 1, 1],
        [[1, 19, 23, 4], [7, 7, 4, 4], 2, 3],
    ]:
        for bias in [True, False]:
            relu = {"relu": True} if bias and sum(x) % 2 else {}
            case("conv2d", {"x": x, "w": w, "stride": stride, "padding": padding, "bias": bias, **relu})
    case("conv2d", {"x": [1, 1, 1, 34001], "w": [1, 1, 34001, 3]})
    case("conv2d", {"x": [1, 1, 2, 3], "w": [1, 1, 3, 34001], "bias": True})
    case("conv2d", {"x": [1, 1, 1, 16388], "w": [1, 1, 16388, 4]})
    case("conv2d", {"x": [1, 520, 520, 1], "w": [1, 1, 1, 1], "bias": True}, heavy="workgroup")
    for wanted in ["x", "w", "b"]:
        case("conv2d", {"x": [2, 5, 6, 3], "w": [3, 3, 3, 5], "padding": 1, "bias": True, "relu": True, "wanted": [wanted]})
    case("conv2d", {"x": [84, 56, 56, 8], "w": [3, 3, 8, 8], "padding": 1}, heavy=True)
    case("conv2d", {"x": [1, 520, 523, 4], "w": [1, 1, 4, 4]}, heavy=True)
    case("conv2d", {"x": [1, 260, 263, 3], "w": [3, 3, 3, 4], "padding": 1}, heavy=True)
    case("conv2d", {"x": [1, 1, 70001, 2], "w": [1, 3, 2, 3], "padding": 0, "bias": True}, heavy="workgroup")
    for value in ["nan", "inf", "-inf", 1e30]:
        case("conv2d", {"x": [2, 3, 3, 1], "w": [3, 3, 1, 2], "padding": 1}, name=f"{value} at the first place", x=put(value))
        case("conv2d", {"x": [2, 2, 3, 4], "w": [3, 3, 4, 1], "padding": 1, "bias": True, "relu": True}, name=f"{value} at the first place", x=put(value))
        case("conv2d", {"x": [1, 2, 3, 4], "w": [1, 1, 4, 4], "bias": True, "relu": True}, name=f"{value} in the bias", b=put(value))
    case("conv2d", {"x": [1, 3, 3, 4], "w": [3, 3, 4, 1], "padding": 1}, name="NaN in the weights", w=put("nan"))
    case("conv2d", {"x": [2, 4, 5, 1], "w": [3, 3, 1, 2]}, name="NaN upstream", dy=put("nan"))
    case("conv2d", {"x": [1, 4, 4, 4], "w": [1, 1, 4, 4], "relu": True}, name="ties at zero", x={"levels": 3, "low": -1}, w={"levels": 3, "low": -1})
    for x, relu, sides in [
        [[1, 5, 6, 3], False, [[1, 1, 3, 5, 0], [3, 3, 3, 7, 1]]],
        [[2, 4, 4, 8], True, [[1, 1, 8, 8, 0], [3, 3, 8, 8, 1]]],
        [[1, 3, 3, 4], True, [[3, 3, 4, 1, 1], [1, 1, 4, 2, 0], [5, 5, 4, 3, 2]]],
        [[1, 7, 5, 16], True, [[1, 1, 16, 64, 0], [3, 3, 16, 64, 1]]],
        [[1, 2, 2, 1], False, [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0]]],
        [[1, 300, 223, 1], False, [[1, 1, 1, 1, 0], [1, 1, 1, 3, 0]]],
    ]:
        arms = [{"w": side[:4], "padding": side[4], "bias": i % 2 == 0} for i, side in enumerate(sides)]
        case("convolutions", {"x": x, "branches": arms, "relu": relu}, heavy="workgroup" if x[1] == 300 else False)
    for x, w, stride, padding in [[[1, 5, 6, 3], [4, 3, 3, 3], 1, 1], [[2, 6, 6, 4], [8, 4, 1, 1], 2, 0], [[1, 9, 9, 2], [3, 2, 5, 5], 2, 2]]:
        for bias in [True, False]:
            case("Conv2d layer", {"x": x, "w": w, "stride": stride, "padding": padding, "bias": bias})


def norms():
    for x in [[2, 1], [5, 3], [2, 3, 5, 4], [1, 7, 9, 3], [300, 8], [257, 1], [3, 33, 31, 5], [1031, 12]]:
        for extra in [{"training": True}, {"training": False}, {"training": True, "residual": True, "relu": True}]:
            case("batchNorm", {"x": x, **extra})
    case("batchNorm", {"x": [2, 4, 4, 4], "training": False, "residual": True, "relu": True})
    case("batchNorm", {"x": [2, 4, 3, 5], "training": False, "relu": True})
    case("batchNorm", {"x": [2, 4, 3, 5], "training": True, "relu": True, "momentum": 0.7, "eps": 0.01})
    case("batchNorm", {"x": [2, 4, 3, 5], "training": True, "residual": True})
    case("batchNorm", {"x": [264001, 1], "training": True, "relu": True})
    case("batchNorm", {"x": [270001, 4], "training": True, "residual": True, "relu": True}, heavy=True)
    case("batchNorm", {"x": [70001, 3], "training": False})
    for low, scale in [[1000, 0.1], [-100, 0.5], [10000, 1]]:
        case("batchNorm", {"x": [120, 5], "training": True}, name=f"{scale} around {low}", x={"low": low, "scale": scale}, tolerance=1e-2 if low == 10000 else 1e-3)
    case("batchNorm", {"x": [37, 4], "training": True}, name="a constant channel", x={"fill": 3}, tolerance=1e-3)
    case("batchNorm", {"x": [9, 4], "training": True}, name="1e-10", x={"scale": 1e-10})
    for value in ["nan", "inf", "-inf", 1e15]:
        # An infinity makes PyTorch's running mean infinite, and neckar's NaN; all that is computed with it is NaN.
        case("batchNorm", {"x": [9, 4], "training": True}, name=f"{value} in x", x=put(value), lax=["mean"])
        case("batchNorm", {"x": [9, 3], "training": False, "relu": True}, name=f"{value} in x", x=put(value))
    case("batchNorm", {"x": [9, 3], "training": False, "residual": True, "relu": True}, name="NaN in the residual", residual=put("nan", "inf", "-inf"))
    case("batchNorm", {"x": [8, 4], "training": True, "relu": True}, name="NaN in the bias", bias=put("nan"))
    for x, training in [[[2, 3, 3, 4], True], [[1, 5, 2, 3], False], [[4, 2, 2, 7], True]]:
        case("BatchNorm2d layer", {"x": x, "training": training})


def pools():
    for x, options in [
        [[1, 1, 1, 1], {"kernel": 1}],
        [[1, 4, 4, 1], {"kernel": 2}],
        [[2, 7, 9, 3], {"kernel": 3, "stride": 2, "padding": 1}],
        [[2, 7, 9, 4], {"kernel": 3, "stride": 2, "ceilMode": True}],
        [[1, 5, 4, 5], {"kernel": 2, "stride": 3, "padding": 1, "ceilMode": True}],
        [[1, 13, 13, 8], {"kernel": 3, "stride": 1, "padding": 1}],
        [[1, 9, 8, 2], {"kernel": 8, "stride": 1, "padding": 4}],
        [[3, 6, 6, 4], {"kernel": 2, "stride": 1}],
        [[1, 17, 5, 7], {"kernel": 5, "stride": 4, "padding": 2}],
        [[1, 300, 223, 1], {"kernel": 2}],
        [[1, 8, 8, 12], {"kernel": 3, "stride": 8, "padding": 1}],
    ]:
        case("maxPool2d", {"x": x, **options})
        case("maxPool2d", {"x": x, **options}, name="ties", x={"levels": 2})
    for value in ["nan", "inf", "-inf", -1e30, "-0"]:
        case("maxPool2d", {"x": [1, 3, 4, 1], "kernel": 2, "stride": 1}, name=f"{value}", x=put(value, value))
        case("maxPool2d", {"x": [1, 3, 3, 4], "kernel": 3, "stride": 1, "padding": 1}, name=f"{value}", x=put(value))
    case("maxPool2d", {"x": [1, 4, 4, 1], "kernel": 2}, name="all -infinity", x={"fill": 1, **put(*["-inf"] * 16)})
    case("maxPool2d", {"x": [1, 4, 4, 4], "kernel": 2, "padding": 1}, name="all below -3e38", x={"fill": -3.2e38})
    case("maxPool2d", {"x": [1, 4, 4, 1], "kernel": 2, "stride": 2}, name="NaN upstream", dy=put("nan", "inf"))
    for x, size in [
        [[1, 1, 1, 1], [1, 1]], [[2, 7, 5, 3], [1, 1]], [[2, 7, 5, 4], [1, 1]], [[1, 7, 5, 4], [3, 2]], [[1, 5, 7, 3], [5, 7]],
        [[1, 3, 3, 2], [5, 4]], [[2, 6, 6, 8], [2, 3]], [[1, 13, 11, 5], [6, 6]], [[1, 256, 256, 1], [1, 1]], [[1, 256, 256, 4], [1, 1]],
        [[1, 257, 263, 3], [1, 1]], [[1, 300, 301, 1], [1, 2]], [[1, 19001, 1, 1], [1, 1]], [[1, 1, 59004, 1], [1, 1]], [[1, 3, 40001, 2], [1, 1]], [[1, 2, 2, 1], [300, 301]], [[1, 1, 1, 1], [300, 301]],
    ]:
        case("adaptiveAveragePool2d", {"x": x, "size": size})
    for value in ["nan", "inf", 1e30]:
        case("adaptiveAveragePool2d", {"x": [1, 4, 5, 1], "size": [2, 2]}, name=f"{value}", x=put(value))
    case("adaptiveAveragePool2d", {"x": [1, 4, 5, 1], "size": [1, 1]}, name="near the largest number", x={"fill": 1e38})
    for wanted in [["x"], ["weight"], ["bias"], ["residual"], ["x", "residual"]]:
        for training in [True, False]:
            case("batchNorm", {"x": [5, 3, 2, 4], "training": training, "residual": True, "relu": True, "wanted": wanted})
    for wanted in [["x"], ["weight"]]:
        case("batchNorm", {"x": [7, 5], "training": True, "relu": True, "wanted": wanted})
    for lead, widths in [[[1], [1]], [[5], [3, 4]], [[4], [4, 8, 12]], [[33], [1, 2, 3, 5]], [[1], [70001, 3]], [[70001], [1, 2]]]:
        case("concat", {"lead": lead, "widths": widths})
    for lead, widths in [[[2, 3, 4], [3, 5]], [[1, 2, 2], [4, 8]], [[1, 1, 1], [1, 1, 1]], [[2, 5, 3], [64, 64]]]:
        case("concatChannels", {"lead": lead, "widths": widths})
    case("concat", {"lead": [2], "widths": [3, 4]}, name="NaN", x0=put("nan", "inf", "-inf"), dy=put("nan"))
    for x, at, width in [[[5, 7], 2, 3], [[6, 12], 4, 8], [[1, 1], 0, 1], [[3, 70001], 69990, 11]]:
        case("takeColumns", {"x": x, "at": at, "width": width})
    for f in [[1, 1, 1, 1], [1, 3, 5, 3], [1, 4, 4, 4], [1, 7, 9, 5], [1, 8, 8, 32], [1, 13, 11, 65], [1, 520, 523, 1], [1, 270401, 1, 3], [1, 300, 223, 2]]:
        case("gram", {"f": f}, heavy=True if f[1] > 520 else "workgroup" if f[1] == 520 else False)
    for f in [[1, 3, 5, 3], [1, 4, 4, 8], [1, 263, 257, 1]]:
        case("gramProduct", {"f": f})
    for value in ["nan", 1e30]:
        case("gram", {"f": [1, 2, 3, 3]}, name=f"{value}", f=put(value))


def image_losses():
    for shape in [[1], [5], [4, 4], [1, 3, 5, 7], [1021], [65537], [70004]]:
        case("squaredDifference", {"shape": shape, "weight": 0.3})
    case("squaredDifference", {"shape": [61]}, name="upstream 2.5", dloss={"fill": 2.5})
    case("squaredDifference", {"shape": [64]}, name="equal", x={"fill": 1}, target={"fill": 1})
    for value in ["nan", "inf", 1e30, 1e-30]:
        case("squaredDifference", {"shape": [8]}, name=f"{value}", x=put(value))
    for x in [[1, 1, 1, 1], [1, 1, 5, 3], [1, 5, 1, 3], [2, 4, 7, 3], [1, 8, 8, 4], [1, 33, 31, 3], [3, 50, 47, 5]]:
        case("totalVariation", {"x": x, "weight": 0.05})
    case("totalVariation", {"x": [1, 4, 5, 3]}, name="upstream -0.5", dloss={"fill": -0.5})
    case("totalVariation", {"x": [1, 4, 5, 3]}, name="constant", x={"fill": 0.7})
    for value in ["nan", "inf", 1e30]:
        case("totalVariation", {"x": [1, 3, 4, 1]}, name=f"{value}", x=put(value))


def tables():
    for rows, width, count in [[1, 1, 1], [5, 3, 7], [7, 4, 20], [11, 8, 3], [100, 5, 257], [1009, 12, 300], [3, 1, 70001], [2, 4, 70001]]:
        case("embedding", {"rows": rows, "width": width, "count": count})
    for width in [1, 4]:
        case("embedding", {"rows": 3, "width": width, "count": 66000}, name="one index", ids={"ints": 1, "low": 2})
    case("embedding", {"rows": 5, "width": 3, "count": 9}, name="NaN", table=put("nan", "inf", 1e30), dy=put("nan", 1, "inf"))
    for rows, width, count in [[1, 1, 1], [9, 3, 5], [9, 4, 12], [70001, 1, 9], [3, 70001, 2]]:
        case("lookUp", {"rows": rows, "width": width, "count": count})
    for rows, width, count in [[5, 3, 7], [8, 4, 4]]:
        case("Embedding layer", {"rows": rows, "width": width, "count": count})
    for mode in ["sum", "mean"]:
        for rows, width, bags in [
            [1, 1, [1]], [5, 3, [2, 1, 4]], [7, 4, [3, 0, 5, 1]], [11, 5, [0]], [50, 8, [17, 3, 1, 0, 40]], [101, 3, [7, 2, 30, 8, 1, 1, 64]],
            [3, 1, [70001]], [3, 4, [70004, 2]],
        ]:
            case("embeddingBag", {"rows": rows, "width": width, "bags": bags, "mode": mode})
        case("embeddingBag", {"rows": 2, "width": 1, "bags": [1], "times": 70001, "mode": mode})
        case("embeddingBag", {"rows": 3, "width": 2, "bags": [66000, 3], "mode": mode}, name="one index", ids={"ints": 1, "low": 1})
        case("embeddingBag", {"rows": 5, "width": 3, "bags": [4, 2], "mode": mode}, name="NaN", table=put("nan", "inf", 1e30, "-inf"), dy=put("nan"))
    for x in [[1, 1, 1], [3, 2, 5], [5, 4, 4], [17, 9, 33], [2, 40, 3], [65536, 1, 1], [70001, 1, 1], [70004, 2, 2]]:
        case("maxOverTime", {"x": x})
        case("maxOverTime", {"x": x}, name="ties", x={"levels": 2}, lengths={"ints": 1, "low": x[0]})
    for value in ["nan", "inf", "-inf", -1e30]:
        case("maxOverTime", {"x": [4, 3, 2]}, name=f"{value}", x={"special": {"0": value, "9": value, "13": value}})
    case("maxOverTime", {"x": [3, 2, 2]}, name="all -infinity", x={"fill": 0, **put(*["-inf"] * 12)})


def cells():
    for t, n, d, h in [[1, 1, 1, 1], [3, 2, 5, 7], [4, 3, 8, 4], [2, 9, 3, 12], [5, 33, 4, 8], [7, 1, 50, 20], [2, 65, 13, 33], [12, 4, 7, 16]]:
        sizes = {"t": t, "n": n, "d": d, "h": h}
        case("rnn", sizes)
        case("lstm", {**sizes, "c0": True})
        case("lstm on the tape", sizes)
    for wanted in ["x", "h0", "wx", "wh", "b"]:
        case("rnn", {"t": 3, "n": 2, "d": 5, "h": 6, "wanted": [wanted]})
        case("lstm on the tape", {"t": 3, "n": 2, "d": 5, "h": 6, "wanted": [wanted]})
    for t, n, d, h in [[2, 2003, 50, 3], [2, 2100, 52, 4], [30, 1, 2, 300], [1, 1, 12007, 3]]:
        sizes = {"t": t, "n": n, "d": d, "h": h}
        case("rnn", sizes)
        case("lstm on the tape", sizes, heavy="workgroup" if h == 300 else False)
    case("rnn", {"t": 2, "n": 1, "d": 2, "h": 3203}, heavy=True)
    case("lstm on the tape", {"t": 2, "n": 1, "d": 2, "h": 1071}, heavy=True)
    case("rnn", {"t": 2, "n": 35003, "d": 1, "h": 2}, tolerance=5e-5)
    for scale in [5, 1e-3]:
        case("rnn", {"t": 4, "n": 3, "d": 5, "h": 6, "scale": scale})
        case("lstm", {"t": 4, "n": 3, "d": 5, "h": 6, "scale": scale, "c0": True})
    for value in ["nan", "inf", "-inf", 1e30]:
        for place in ["x", "h0", "wx", "b"]:
            case("rnn", {"t": 2, "n": 3, "d": 2, "h": 3}, name=f"{value} in {place}", **{place: put(value)})
        for place in ["x", "c0", "b"]:
            case("lstm", {"t": 2, "n": 3, "d": 2, "h": 3, "c0": True}, name=f"{value} in {place}", **{place: put(value)})
    case("rnn", {"t": 3, "n": 2, "d": 4, "h": 4}, name="NaN upstream", dh=put("nan"))
    case("lstm", {"t": 3, "n": 2, "d": 4, "h": 4, "c0": True}, name="NaN upstream", dh=put("nan"))
    for n, d, h in [[1, 1, 1], [3, 5, 7], [4, 8, 4], [33, 3, 9]]:
        sizes = {"t": 1, "n": n, "d": d, "h": h}
        case("rnnStep", sizes)
        case("lstmStep", {**sizes, "c0": True})
    for t, n, d, h in [[1, 1, 1, 1], [3, 2, 5, 7], [4, 3, 8, 4]]:
        case("Recurrent layer rnn", {"t": t, "n": n, "d": d, "h": h})
        case("Recurrent layer lstm", {"t": t, "n": n, "d": d, "h": h})


def losses():
    shapes = [[1, 1], [3, 5], [4, 8], [9, 3], [17, 64], [8, 65], [65, 33], [100, 4]]
    wide = [[1, 21846], [1, 21847], [2, 21848], [2, 32769], [1, 65537], [1, 65540], [2, 87388], [1, 262148]]
    for shape in shapes + wide:
        case("softmaxCrossEntropy", {"shape": shape, "scale": 0.5})
        case("logSoftmax", {"shape": shape})
        case("argmax", {"shape": shape})
    for shape in shapes[:4] + wide[-4:]:
        case("softmaxCrossEntropy without gradient", {"shape": shape})
        case("argmax", {"shape": shape}, name="ties", scores={"levels": 2})
    for shape in [[3, 5], [4, 8]]:
        case("softmaxCrossEntropy", {"shape": shape, "ignore": 1}, name="ignored", targets={"ints": 3})
        for low, scale in [[0, 50], [1e4, 3], [-1e30, 1]]:
            big = {"scale": scale, "low": low}
            case("softmaxCrossEntropy", {"shape": shape}, name=f"{scale} around {low}", scores=big, floor={"dscores": 1, "losses": 1})
            case("logSoftmax", {"shape": shape}, name=f"{scale} around {low}", scores=big, floor={"y": 1})
        case("softmaxCrossEntropy", {"shape": shape}, name="all -3.2e38", scores={"fill": -3.2e38})
        case("logSoftmax", {"shape": shape}, name="all -3.2e38", scores={"fill": -3.2e38})
        case("argmax", {"shape": shape}, name="all -3.2e38", scores={"fill": -3.2e38})
        case("argmax", {"shape": shape}, name="all -infinity", scores={"fill": 0, **put(*["-inf"] * (shape[0] * shape[1]))})
        for value in ["nan", "inf", "-inf", 1e30, -1e30]:
            wild = {"special": {"1": value, str(shape[1] + 2): value}}
            case("softmaxCrossEntropy", {"shape": shape}, name=f"{value}", scores=wild, floor={"dscores": 1})
            case("logSoftmax", {"shape": shape}, name=f"{value}", scores=wild)
            case("argmax", {"shape": shape}, name=f"{value}", scores=wild)
    for shape in [[1, 1, 1], [3, 2, 5], [4, 3, 8], [2, 5, 1009], [1, 2, 65537], [2500, 30, 3]]:
        case("temporalSoftmaxLoss", {"shape": shape})
    case("temporalSoftmaxLoss", {"shape": [3, 4, 7], "reduction": "tokens", "tokens": 9})
    case("temporalSoftmaxLoss", {"shape": [3, 4, 7]}, name="upstream 3", dloss={"fill": 3})
    case("temporalSoftmaxLoss", {"shape": [2, 3, 4]}, name="NaN", scores=put("nan"))
    for shape in [[1, 1], [3, 5], [8, 4], [33, 2], [2, 65537], [70001, 3]]:
        case("crossEntropy", {"shape": shape})
    case("crossEntropy", {"shape": [3, 5]}, name="upstream 0.25", dloss={"fill": 0.25})
    for shape in [[1], [3], [4], [65], [1021, 1], [65537]]:
        case("binaryCrossEntropy", {"shape": shape})
        case("sigmoidCrossEntropy", {"shape": shape, "scale": 0.5})
    case("sigmoidCrossEntropy", {"shape": [4194503], "scale": 1e-6}, heavy=True)
    for scale in [1e-6, 20, 90, 1000]:
        case("sigmoidCrossEntropy", {"shape": [61], "scale": 1}, name=f"up to {scale}", logits={"scale": scale}, targets={"levels": 2, "scale": 1, "low": 0}, floor={"dlogits": 1e-3})
    # At -infinity PyTorch's loss is NaN, from infinity less infinity, and the true one, neckar's, infinity.
    for value in ["nan", "inf", 1e30, -1e30]:
        case("binaryCrossEntropy", {"shape": [7]}, name=f"{value}", logits=put(value))
    case("binaryCrossEntropy", {"shape": [7]}, name="upstream -2", dloss={"fill": -2})


def optimizers():
    plain = {"lr": 0.1}
    steps = {
        "sgdStep": [{"momentum": 0.9}, {"momentum": 0.5, "weightDecay": 0.01}, {"momentum": 0.9, "maxNorm": 0.7}],
        "adamStep": [{"t": 1}, {"t": 7, "weightDecay": 0.1}, {"t": 100000, "maxNorm": 0.5, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-6}],
        "rmspropStep": [{"alpha": 0.9}, {"alpha": 0.99, "weightDecay": 0.1}, {"alpha": 0.5, "epsilon": 1e-3, "maxNorm": 0.5}],
    }
    for op, variants in steps.items():
        for shape in [[4], [8], [1024], [65540]]:
            for variant in variants:
                case(op, {"shape": shape, **plain, **variant})
        case(op, {"shape": [8], **plain, **variants[0]}, name="NaN", g=put("nan", "inf", "-inf", 0))
        case(op, {"shape": [8], **plain, **variants[2]}, name="NaN under a largest norm", g=put("nan"))
        case(op, {"shape": [8], **plain, **variants[0]}, name="no gradient", g={"fill": 0})
        case(op, {"shape": [8], **plain, **variants[2]}, name="a zero gradient under a largest norm", g={"fill": 0})
    case("sgdStep", {"shape": [8], **plain, "momentum": 0.9, "maxNorm": 1}, name="1e15", g={"scale": 1e15})
    for rows, width, count in [[1, 1, 1], [5, 3, 4], [7, 4, 9], [101, 5, 30], [101, 8, 300], [3, 1, 70001]]:
        case("adamRowsStep", {"rows": rows, "width": width, "count": count, "t": 3, **plain})
    case("adamRowsStep", {"rows": 5, "width": 3, "count": 4, "t": 1, **plain}, name="NaN", g={"special": {str(i): "nan" for i in range(0, 15, 4)}})
    for n, name in product([1, 7, 64, 130], ["Sgd", "RmsProp", "Adam"]):
        case(name, {"shape": [n], "steps": 4, **plain})
        case(name, {"shape": [n], "steps": 4, **plain, "weightDecay": 0.1, "maxNorm": 0.5, "decay": 0.9})
    case("Sgd", {"shape": [7], "steps": 5, **plain, "momentum": 0.9})
    case("Adam", {"shape": [7], "steps": 5, **plain, "beta1": 0.5, "beta2": 0.8, "epsilon": 1e-4})
    case("RmsProp", {"shape": [7], "steps": 5, **plain, "alpha": 0.5, "epsilon": 1e-3})
    for rows, width, count in [[1, 1, 1], [5, 3, 4], [101, 8, 30]]:
        case("Adam on a sparse table", {"rows": rows, "width": width, "count": count, "steps": 3, **plain})
    for n, decay in [[1, 0.5], [7, 0.99], [64, 0.2]]:
        case("WeightAverage", {"shape": [n], "steps": 5, "decay": decay})


for add in [numbers, sums, products, convolutions, norms, pools, image_losses, tables, cells, losses, optimizers]:
    add()
