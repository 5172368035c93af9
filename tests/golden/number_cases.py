"""The cases of single numbers, sums, products, losses and optimizers."""

from itertools import product

from cases import case, put

EXTREMES = ["nan", "inf", "-inf", 0, "-0", 1e30, -1e30, 1e-30, -1e-30, 88.5, -88.5, 104, -104, 16, -16, 61, -61, 3e38]
LARGE_K = [3201, 3204, 4279, 11903, 31961, 31977, 34957, 34960, 65535, 65536, 65537, 239849, 239961, 262145, 262148]


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
        case("linear of sequences", {"lead": [t, n], "d": d, "k": k, "bias": True})
    for m, d, k, bias in [[1, 1, 1, True], [5, 3, 7, True], [8, 4, 12, False], [33, 65, 10, True]]:
        case("Linear layer", {"lead": [m], "d": d, "k": k, "bias": bias})


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
    case("crossEntropy", {"shape": [2, 3, 5]})
    case("crossEntropy", {"shape": [7, 5], "numbers": True})
    for options in [{}, {"weight": True}, {"labelSmoothing": 0.2}, {"ignore": 2}, {"weight": True, "labelSmoothing": 0.3, "ignore": 1}]:
        for reduction in ["mean", "sum", "none"]:
            if options or reduction != "mean":
                case("crossEntropy", {"shape": [9, 4], **options, "reduction": reduction})
        case("crossEntropy", {"shape": [2, 5, 7], **options, "reduction": "none"})
        if options:
            case("crossEntropy", {"shape": [3, 5, 6], **options})
            case("crossEntropy", {"shape": [8, 3], **options, "numbers": True})
    for ignore in [-100, 255]:
        for options in [{}, {"numbers": ignore > 0}, {"weight": True}, {"labelSmoothing": 0.1}]:
            places = {"special": {"0": ignore % 2**32, "4": ignore % 2**32}}
            case("crossEntropy", {"shape": [6, 5], **options, "ignore": ignore}, targets=places)
    case("crossEntropy", {"shape": [2, 65537], "labelSmoothing": 0.1, "weight": True})
    case("crossEntropy", {"shape": [4, 5], "labelSmoothing": 0.1}, name="large", scores={"scale": 90})
    case("crossEntropy", {"shape": [4, 5], "weight": True}, name="a weight of 0", weight=put(0, 2, 0))
    for options in [{"reduction": "none"}, {"ignore": 3}, {"weight": True}]:
        case("crossEntropy", {"shape": [4, 3], **options}, name="NaN", scores=put("nan"), targets={"ints": 3})
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
    for n in [1, 7, 64]:
        case("Sgd", {"shape": [n], "steps": 20, **plain, "momentum": 0.9, "nesterov": True, "weightDecay": 0.01})
        case("AdamW", {"shape": [n], "steps": 20, **plain})
        case("AdamW", {"shape": [n], "steps": 20, **plain, "weightDecay": 0.5, "maxNorm": 0.5, "decay": 0.9})
    case("Adam", {"shape": [7], "steps": 5, **plain, "beta1": 0.5, "beta2": 0.8, "epsilon": 1e-4})
    case("RmsProp", {"shape": [7], "steps": 5, **plain, "alpha": 0.5, "epsilon": 1e-3})
    for rows, width, count in [[1, 1, 1], [5, 3, 4], [101, 8, 30]]:
        case("Adam on a sparse table", {"rows": rows, "width": width, "count": count, "steps": 3, **plain})
    for n, decay in [[1, 0.5], [7, 0.99], [64, 0.2]]:
        case("WeightAverage", {"shape": [n], "steps": 5, "decay": decay})


for add in [numbers, sums, products, losses, optimizers]:
    add()
