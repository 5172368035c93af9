"""The operations on maps in PyTorch: see operations.py."""

import torch
from torch.nn import functional as F

from operations import EXACT, operation


def chw(x):
    return x.permute(0, 3, 1, 2).contiguous()


def kernel_first(w):
    return w.permute(3, 2, 0, 1).contiguous()


def hwc(x):
    return x.permute(0, 2, 3, 1)


# Convolutions


def window(p):
    return {"stride": p.get("stride", 1), "padding": p.get("padding", 0), "dilation": p.get("dilation", 1), "groups": p.get("groups", 1)}


def convolution(p):
    kh, kw, c, k = p["w"]
    return {"x": p["x"], "w": p["w"], **({"b": [k]} if p.get("bias") else {})}


@operation("conv2d", convolution, "F.conv2d", upstream=["y"], tolerance=1e-5)
def _(p, x, w, b=None):
    y = hwc(F.conv2d(chw(x), kernel_first(w), b, **window(p)))
    return {"y": torch.relu(y) if p.get("relu") else y}


def branches(p):
    specs = {"x": p["x"]}
    for i, branch in enumerate(p["branches"]):
        specs[f"w{i}"] = branch["w"]
        if branch.get("bias"):
            specs[f"b{i}"] = [branch["w"][3]]
    return specs


@operation("convolutions", branches, "F.conv2d, torch.cat", upstream=["y"], tolerance=1e-5)
def _(p, x, **inputs):
    parts = [
        F.conv2d(chw(x), kernel_first(inputs[f"w{i}"]), inputs.get(f"b{i}"), **window(branch))
        for i, branch in enumerate(p["branches"])
    ]
    y = hwc(torch.cat(parts, 1))
    return {"y": torch.relu(y) if p.get("relu") else y}


def torch_convolution(p):
    k, c, size, _ = p["w"]
    return {"x": p["x"], "w": p["w"], **({"b": [k]} if p.get("bias") else {})}


@operation("Conv2d layer", torch_convolution, "nn.Conv2d", upstream=["y"], tolerance=1e-5)
def _(p, x, w, b=None):
    return {"y": hwc(F.conv2d(chw(x), w, b, **window(p)))}


# Maps


def norm(p):
    c = p["x"][-1]
    return {
        "x": p["x"],
        "weight": [c],
        "bias": [c],
        "runningMean": [c],
        "runningVar": {"shape": [c], "scale": 0.4, "low": 0.5},
        **({"residual": p["x"]} if p.get("residual") else {}),
    }


RUNNING = ["runningMean", "runningVar"]


def batch_norm(p, x, weight, bias, runningMean, runningVar, residual=None):
    mean, var = runningMean.clone(), runningVar.clone()
    flat = x.reshape(-1, x.shape[-1])
    options = {"training": p["training"], "momentum": p.get("momentum", 0.1), "eps": p.get("eps", 1e-5)}
    y = F.batch_norm(flat, mean, var, weight, bias, **options).reshape(x.shape)
    if residual is not None:
        y = y + residual
    return {"y": torch.relu(y) if p.get("relu") else y, "mean": mean, "var": var}


for name in ["batchNorm", "BatchNorm2d layer"]:
    title = "nn.BatchNorm2d" if "layer" in name else "F.batch_norm"
    operation(name, norm, title, upstream=["y"], fixed=RUNNING, tolerance=1e-5)(batch_norm)


def options_of_pool(p):
    return {"stride": p.get("stride", p["kernel"]), "padding": p.get("padding", 0), "ceil_mode": p.get("ceilMode", False)}


@operation("maxPool2d", lambda p: {"x": p["x"]}, "F.max_pool2d", upstream=["y"], tolerance=5e-6)
def _(p, x):
    # Channels first in memory: the kernel for channels last has another rule for ties.
    return {"y": hwc(F.max_pool2d(chw(x), p["kernel"], **options_of_pool(p)))}


@operation("averagePool2d", lambda p: {"x": p["x"]}, "F.avg_pool2d", upstream=["y"], tolerance=5e-6)
def _(p, x):
    return {"y": hwc(F.avg_pool2d(chw(x), p["kernel"], **options_of_pool(p), count_include_pad=p.get("countPadding", True)))}


@operation("upsampleNearest", lambda p: {"x": p["x"]}, "F.interpolate", upstream=["y"], tolerance=1e-6)
def _(p, x):
    return {"y": hwc(F.interpolate(chw(x), scale_factor=p["scale"], mode="nearest"))}


@operation("adaptiveAveragePool2d", lambda p: {"x": p["x"]}, "F.adaptive_avg_pool2d", upstream=["y"], tolerance=5e-6)
def _(p, x):
    return {"y": hwc(F.adaptive_avg_pool2d(chw(x), p["size"]))}


def parts(p):
    return {f"x{i}": p["lead"] + [width] for i, width in enumerate(p["widths"])}


for name in ["concat", "concatChannels"]:
    operation(name, parts, "torch.cat", upstream=["y"], tolerance=EXACT)(
        lambda p, **inputs: {"y": torch.cat(list(inputs.values()), -1)}
    )



@operation("gram", lambda p: {"f": p["f"]}, "matmul", upstream=["y"], tolerance=1e-5)
def _(p, f):
    flat = f.reshape(-1, f.shape[-1])
    return {"y": flat.T @ flat / f.numel()}


@operation("gramProduct", lambda p: {"f": p["f"]}, "matmul", tolerance=1e-5)
def _(p, f):
    flat = f.reshape(-1, f.shape[-1])
    return {"y": flat.T @ flat}


@operation("squaredDifference", lambda p: {"x": p["shape"], "target": p["shape"]}, "F.mse_loss", upstream=["loss"],
           fixed=["target"])
def _(p, x, target):
    return {"loss": F.mse_loss(x, target, reduction="sum") * p.get("weight", 1)}


@operation("totalVariation", lambda p: {"x": p["x"]}, "sums of squares", upstream=["loss"])
def _(p, x):
    down, across = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    return {"loss": p.get("weight", 1) * ((down**2).sum() + (across**2).sum())}
