"""The cases of maps, tables and recurrent cells."""

from cases import case, put


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
    for x, w, options in [
        [[2, 9, 11, 3], [3, 3, 3, 5], {"stride": 2, "padding": 2, "dilation": 2}],
        [[1, 13, 10, 6], [3, 2, 6, 7], {"padding": 3, "dilation": 3}],
        [[2, 12, 9, 5], [2, 3, 5, 6], {"stride": 3, "padding": 1, "dilation": 3}],
        [[1, 11, 13, 8], [3, 3, 8, 4], {"stride": 4, "padding": 2, "dilation": 2}],
        [[1, 7, 7, 1], [4, 3, 1, 1], {"dilation": 2}],
        [[1, 19, 17, 36], [3, 3, 36, 40], {"padding": 2, "dilation": 2}],
        [[1, 5, 6, 2], [1, 1, 2, 3], {"dilation": 9}],
        [[2, 7, 5, 6], [3, 3, 3, 10], {"stride": 2, "padding": 1, "groups": 2}],
        [[1, 6, 9, 9], [2, 3, 3, 6], {"padding": 1, "groups": 3}],
        [[2, 11, 7, 6], [3, 3, 2, 9], {"stride": 2, "padding": 2, "dilation": 2, "groups": 3}],
        [[1, 9, 10, 10], [3, 2, 5, 2], {"stride": 3, "padding": 2, "dilation": 3, "groups": 2}],
        [[1, 14, 13, 64], [3, 3, 16, 32], {"padding": 1, "groups": 4}],
        [[2, 7, 9, 5], [3, 3, 1, 5], {"stride": 2, "padding": 1, "groups": 5}],
        [[2, 10, 9, 8], [3, 3, 1, 8], {"stride": 2, "padding": 3, "dilation": 3, "groups": 8}],
        [[1, 15, 17, 12], [5, 3, 1, 12], {"padding": 2, "dilation": 2, "groups": 12}],
        [[1, 8, 7, 3], [3, 3, 1, 9], {"stride": 2, "padding": 1, "groups": 3}],
        [[1, 1, 1, 2], [1, 1, 1, 2], {"groups": 2}],
        [[3, 53, 59, 4], [3, 3, 1, 4], {"padding": 1, "groups": 4}],
        [[2, 71, 97, 6], [1, 1, 3, 2], {"groups": 2}],
    ]:
        for bias in [True, False]:
            relu = {"relu": True} if bias and sum(x) % 2 else {}
            case("conv2d", {"x": x, "w": w, **options, "bias": bias, **relu})
    for groups in [1, 2, 4]:
        p = {"x": [1, 5, 6, 4], "w": [3, 3, 4 // groups, 4], "padding": 2, "stride": 2, "dilation": 2, "groups": groups}
        for value in ["nan", "inf", "-inf", 1e30]:
            case("conv2d", {**p, "relu": True}, name=f"{value} at the first place", x=put(value))
        case("conv2d", p, name="NaN upstream", dy=put("nan"))
        # PyTorch's float32 has no zeros around a depthwise one, and its float64 does.
        if groups > 1:
            case("conv2d", {**p, "padding": 2 if groups == 2 else 0}, name="NaN in the weights", w=put("nan"))
        for wanted in ["x", "w", "b"]:
            case("conv2d", {**p, "bias": True, "wanted": [wanted]})
    case("conv2d", {"x": [1, 1, 70001, 4], "w": [1, 3, 1, 4], "bias": True, "groups": 4}, heavy="workgroup")
    case("conv2d", {"x": [8, 112, 112, 32], "w": [3, 3, 1, 32], "padding": 1, "groups": 32}, heavy=True)
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
    arms = [
        {"w": [1, 1, 3, 5], "bias": True},
        {"w": [3, 3, 1, 6], "padding": 2, "dilation": 2, "groups": 3, "bias": True},
        {"w": [3, 3, 3, 4], "padding": 3, "dilation": 3},
        {"w": [3, 3, 1, 3], "padding": 1, "groups": 3},
    ]
    case("convolutions", {"x": [2, 5, 7, 3], "branches": arms, "relu": True})
    for w, groups, bias in [[[6, 2, 3, 3], 2, True], [[8, 1, 3, 3], 4, False], [[4, 1, 2, 2], 4, True], [[5, 4, 3, 3], 1, True]]:
        p = {"x": [2, 7, 6, 4], "w": w, "stride": 2, "padding": 2, "dilation": 2, "groups": groups, "bias": bias}
        case("Conv2d layer", p)
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
        case("batchNorm", {"x": [120, 5], "training": True}, name=f"{scale} around {low}", x={"low": low, "scale": scale}, tolerance=5e-3 if low == 10000 else 1e-3)
    case("batchNorm", {"x": [37, 4], "training": True}, name="a constant channel", x={"fill": 3}, tolerance=1e-3)
    case("batchNorm", {"x": [9, 4], "training": True}, name="1e-10", x={"scale": 1e-10})
    for value in ["nan", "inf", "-inf", 1e15]:
        case("batchNorm", {"x": [9, 4], "training": True}, name=f"{value} in x", x=put(value))
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
    for x, options in [
        [[1, 1, 1, 1], {"kernel": 1}],
        [[1, 1, 1, 3], {"kernel": 2, "stride": 1, "padding": 1}],
        [[2, 7, 9, 3], {"kernel": 3, "stride": 2, "padding": 1}],
        [[2, 7, 10, 4], {"kernel": 3, "stride": 2, "ceilMode": True}],
        [[2, 8, 6, 6], {"kernel": 3, "stride": 2, "padding": 1, "ceilMode": True}],
        [[1, 5, 4, 5], {"kernel": 2, "stride": 3, "padding": 1, "ceilMode": True}],
        [[1, 13, 13, 8], {"kernel": 3, "stride": 1, "padding": 1}],
        [[1, 9, 8, 2], {"kernel": 8, "stride": 1, "padding": 4}],
        [[1, 17, 5, 7], {"kernel": 5, "stride": 4, "padding": 2}],
        [[2, 11, 13, 4], {"kernel": 9, "stride": 2, "padding": 4, "ceilMode": True}],
        [[1, 8, 8, 12], {"kernel": 3, "stride": 9, "padding": 1}],
        [[1, 3, 5, 6], {"kernel": 4, "stride": 3, "ceilMode": True}],
        [[1, 1, 60001, 2], {"kernel": 3, "stride": 2, "padding": 1}],
    ]:
        case("averagePool2d", {"x": x, **options})
        case("averagePool2d", {"x": x, **options, "countPadding": False})
    case("averagePool2d", {"x": [1, 240, 241, 1], "kernel": 240, "stride": 1}, tolerance=1e-5)
    for value in ["nan", "inf", 1e30]:
        p = {"x": [1, 4, 5, 1], "kernel": 3, "stride": 2, "padding": 1}
        case("averagePool2d", p, name=f"{value}", x=put(value))
        case("averagePool2d", p, name=f"{value} upstream", dy=put(value))
    for x, scale in [[[1, 1, 1, 1], 1], [[1, 1, 1, 1], 5], [[2, 3, 4, 3], 2], [[1, 5, 2, 4], 3], [[2, 7, 3, 5], 4], [[1, 150, 223, 1], 2], [[1, 3, 2, 70], 7]]:
        case("upsampleNearest", {"x": x, "scale": scale})
    case("upsampleNearest", {"x": [1, 2, 3, 2], "scale": 2}, name="NaN", x=put("nan", "inf"), dy=put("-inf", "nan"))
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


for add in [convolutions, norms, pools, image_losses, tables, cells]:
    add()
