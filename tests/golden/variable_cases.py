"""The cases of what a variable can do."""

from cases import case, put
from variable_operations import BINARY, COMPARED, UNARY

POSITIVE = {"scale": 3, "low": 3.01}
SHAPES = [[1], [7], [64], [3, 341], [2, 3, 4, 5]]
# Repeated on each side, in the middle, by rows, by columns, from a scalar; with quads and without.
PAIRS = [
    [[7], [7]],
    [[5, 8], [8]],
    [[5, 8], [5, 1]],
    [[5, 7], [1, 7]],
    [[1, 7], [5, 1]],
    [[], [3, 5]],
    [[2, 1, 4], [3, 1]],
    [[3, 1, 2, 1, 5], [1, 4, 1, 6, 1]],
    [[130, 64], [64]],
]
ODD = ["nan", "inf", "-inf", 0, "-0", 1e30, -1e30, 1, -1, 88.5, -104, 3e38]


def numbers():
    for name in UNARY:
        positive = {"x": POSITIVE} if name in ["sqrt", "rsqrt", "log"] else {}
        for shape in SHAPES:
            case(f"x.{name}", {"shape": shape}, **positive)
        case(f"x.{name}", {"shape": [257]}, name="wide", x={**positive.get("x", {}), "scale": 20 if not positive else 1000, "low": 0 if not positive else 1001})
    for name in ["neg", "square", "abs", "exp", "relu", "softplus", "sigmoid", "tanh"]:
        case(f"x.{name}", {"shape": [len(ODD)]}, name="extremes", x=put(*ODD))
    case("x.log", {"shape": [12]}, name="extremes", x=put("nan", "inf", "-inf", 0, "-0", 1e30, 1e-30, -1, 1, 2, 3e38, 0.5))
    for name in ["sin", "cos"]:
        case(f"x.{name}", {"shape": [101]}, name="far", x={"scale": 5000})
        case(f"x.{name}", {"shape": [4]}, name="extremes", x=put("nan", "inf", "-inf", 0))
    for name in BINARY:
        change = {"a": POSITIVE} if name == "pow" else {"b": POSITIVE} if name == "div" else {}
        for a, b in PAIRS:
            case(f"x.{name}", {"a": a, "b": b}, **change)
    for name in ["minimum", "maximum"]:
        case(f"x.{name}", {"a": [6, 9], "b": [9]}, name="ties", a={"levels": 3}, b={"levels": 3})
        case(f"x.{name}", {"a": [6], "b": [6]}, name="extremes", a=put("nan", 1, "inf", "-inf", "nan", 0), b=put(1, "nan", 2, 2, "nan", "inf"))
    case("x.pow", {"a": [6, 7], "b": [6, 1]}, name="whole powers of numbers below 0", a={"scale": 2}, b=put(0, 1, 2, 3, -1, -2))
    for name in COMPARED:
        case(f"x.{name}", {"a": [6, 9], "b": [9]}, name="ties", a={"levels": 3}, b={"levels": 3})
    for by in ["add", "sub", "mul", "div", "pow", "square"]:
        case("x with a number", {"shape": [5, 7], "by": by})
    for slope in [0.01, 0.3]:
        case("x.leakyRelu", {"shape": [5, 7], "slope": slope})
    case("x.clamp", {"shape": [5, 7], "low": -0.5, "high": 0.25})
    case("x.clamp", {"shape": [64], "low": 0, "high": 1}, name="at the ends", x={"levels": 4, "low": -1})
    for c, a, b in [[[5, 7]] * 3, [[7], [5, 7], [5, 1]], [[5, 1], [7], []], [[2, 3, 4], [4], [3, 1]]]:
        case("where", {"c": c, "a": a, "b": b})


def along_axes():
    sizes = [[[7], [0]], [[5, 8], [0]], [[5, 8], [1]], [[5, 8], [0, 1]], [[3, 4, 5], [1]], [[3, 4, 5], [0, 2]], [[2, 3, 2, 4], [-1, 1]], [[1, 3, 1], [0]]]
    for op in ["x.sum", "x.mean", "x.max", "x.min"]:
        for shape, axes in sizes:
            case(op, {"shape": shape, "axes": axes})
            case(op, {"shape": shape, "axes": axes, "keepDims": True})
        case(op, {"shape": [3, 5, 2]})
        case(op, {"shape": [1021, 4], "axes": [0]})
        case(op, {"shape": [3, 10007], "axes": [1]})
        case(op, {"shape": [2, 4099, 3], "axes": [1]})
        case(op, {"shape": [6, 70, 8], "axes": [0, 1]})
        case(op, {"shape": [5]}, name="extremes", x=put("nan", "inf", "-inf"))
    for op in ["x.max", "x.min"]:
        case(op, {"shape": [6, 9], "axes": [1]}, name="ties", x={"levels": 3})
        case(op, {"shape": [64], "axes": [0]}, name="all alike", x={"fill": 2})
    for correction in [0, 1]:
        for shape, axes in sizes[:7]:
            if shape != [1, 3, 1]:
                case("x.variance", {"shape": shape, "axes": axes, "correction": correction, "keepDims": shape == [5, 8]})
    case("x.variance", {"shape": [33, 65], "axes": [1], "correction": 0}, name="far from 0", x={"low": 100}, tolerance=1e-4)
    for op in ["x.softmax", "x.logSoftmax"]:
        for shape, axis in [[[7], 0], [[5, 8], 0], [[5, 8], 1], [[3, 4, 5], 1], [[2, 3, 1004], -1]]:
            case(op, {"shape": shape, "axis": axis})
        case(op, {"shape": [4, 5], "axis": 1}, name="large", x={"scale": 80}, floor={"dx": 0.5})
        case(op, {"shape": [3, 4], "axis": 1}, name="masked", x=put("-inf", 1, 2, "-inf", "-inf"))


def products():
    for a, b in [
        [[3, 5], [5, 4]],
        [[1, 1], [1, 1]],
        [[2, 3, 5], [5, 4]],
        [[2, 3, 5], [2, 5, 4]],
        [[4, 7, 8], [4, 8, 12]],
        [[2, 3, 33, 17], [2, 3, 17, 31]],
        [[2, 1, 6, 8], [3, 8, 5]],
        [[3, 5], [4, 5, 2]],
        [[1, 5, 3], [6, 3, 1]],
        [[65, 9, 64], [65, 64, 10]],
        [[7, 1, 5], [7, 5, 1]],
    ]:
        case("x.matmul", {"a": a, "b": b})


def arranged():
    for shape, to in [[[6], [2, 3]], [[4, 5], [-1]], [[4, 6], [2, -1, 3]], [[3, 1, 7], [21]], [[1], []]]:
        case("x.reshape", {"shape": shape, "to": to})
    for shape, axes in [[[5, 8], [0, 1]], [[3, 4, 5], [-2, -1]], [[3, 4, 5], [0, -1]], [[64, 65], [1, 0]], [[2, 3, 4, 5], [1, 2]]]:
        case("x.transpose", {"shape": shape, "axes": axes})
    for shape, order in [[[3, 4, 5], [2, 0, 1]], [[2, 3, 4, 8], [0, 2, 1, 3]], [[2, 3, 4, 5], [3, -2, 1, 0]], [[1, 5, 1], [1, 2, 0]], [[2, 2, 2, 2, 2, 3], [5, 3, 1, 0, 2, 4]]]:
        case("x.permute", {"shape": shape, "order": order})
    for shape, p in [
        [[9], {"axis": 0, "start": 2}],
        [[9], {"axis": 0, "end": -2}],
        [[9], {"axis": 0, "start": 1, "end": 8, "step": 3}],
        [[9], {"axis": 0, "step": -1}],
        [[9], {"axis": 0, "start": 7, "end": 1, "step": -2}],
        [[5, 8], {"axis": 0, "start": 1, "end": 4}],
        [[5, 8], {"axis": 1, "start": 4, "end": 8}],
        [[5, 8], {"axis": -1, "start": 1, "end": 6, "step": 2}],
        [[3, 4, 8], {"axis": 1, "start": -3, "end": 100}],
        [[3, 4, 8], {"axis": 2, "start": -100, "step": -3, "end": -7}],
    ]:
        case("x.slice", {"shape": shape, **p})
    for shape, to in [[[1], [5]], [[5, 1], [5, 8]], [[8], [5, 8]], [[3, 1, 4], [2, 3, 5, 4]], [[], [7]]]:
        case("x.expand", {"shape": shape, "to": to})
    for shape, axis, indices in [[[5], 0, [4, 0, 0, 2]], [[5, 8], 0, [1, 1, 4]], [[5, 7], 1, [6, 0, 3, 3, 3]], [[3, 4, 5], 1, [2]], [[3, 4, 5], -1, [4, 4, 1]]]:
        case("x.indexSelect", {"shape": shape, "axis": axis, "indices": indices})
    for shape, axis, indices, to in [
        [[5], 0, [4, 0, 0, 2], [4]],
        [[4, 6], 1, [5, 0, 3, 3], [4, 1]],
        [[4, 3], 0, [3, 0, 1, 3, 2, 2], [2, 3]],
        [[2, 3, 4], 1, [0, 2, 1, 1, 2, 2], [2, 1, 3]],
    ]:
        case("x.gather", {"shape": shape, "axis": axis, "indices": indices, "to": to})
    for shapes, axis in [[[[3], [4], [1]], 0], [[[2, 3], [5, 3]], 0], [[[5, 4], [5, 8]], 1], [[[2, 3, 4], [2, 1, 4], [2, 7, 4]], -2], [[[3, 5]], 1]]:
        case("concat along an axis", {"shapes": shapes, "axis": axis})
    for shapes, axis in [[[[3], [3]], 0], [[[2, 3]] * 3, 1], [[[2, 4]] * 2, -1], [[[]] * 4, 0]]:
        case("stack", {"shapes": shapes, "axis": axis})


def losses():
    for shape in [[1], [7], [5, 8], [3, 4, 5], [1021]]:
        case("meanSquaredError", {"shape": shape})
        case("meanAbsoluteError", {"shape": shape})
        for delta in [1, 0.3]:
            case("huberLoss", {"shape": shape, "delta": delta})
        case("klDivergence", {"shape": shape}, t={"scale": 0.5, "low": 0.5})
    case("huberLoss", {"shape": [64], "delta": 1}, name="at delta", x={"levels": 5, "low": -2}, t={"fill": 0})
    case("klDivergence", {"shape": [4, 6]}, name="probabilities of 0", t={"levels": 2, "scale": 0.5})
    case("meanSquaredError", {"shape": [7]}, name="upstream -2", dy={"fill": -2})
    for shape, axes in [[[5, 8], 1], [[3, 7], 1], [[2, 3, 64], 1], [[2, 3, 5], 2], [[4, 129], 1]]:
        for affine in [False, True]:
            case("layerNorm", {"shape": shape, "axes": axes, "affine": affine})
    case("layerNorm", {"shape": [4, 16], "axes": 1, "affine": False}, name="far from 0", x={"low": 30}, tolerance=1e-4)


numbers()
along_axes()
losses()
products()
arranged()
