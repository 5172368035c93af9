"""What a variable can do, each method as its namesake of PyTorch."""

import torch
from torch.nn import functional as F

from operations import EXACT, operation, typical

UNARY = {
    "neg": torch.neg,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "exp": torch.exp,
    "log": torch.log,
    "abs": torch.abs,
    "sin": torch.sin,
    "cos": torch.cos,
    "relu": torch.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "pow": torch.pow,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
}
COMPARED = {"equal": torch.eq, "less": torch.lt, "greater": torch.gt}


def one(p):
    return {"x": p["shape"]}


def two(p):
    return {"a": p["a"], "b": p["b"]}


def scales(p, inputs, results):
    """Gradients by the size of what comes in times the slope."""
    return {"dx": typical(inputs["dy"])}


for name, f in UNARY.items():
    operation(f"x.{name}", one, f"torch.{name}", upstream=["y"], floors=scales)(lambda p, x, f=f: {"y": f(x)})
for name, f in BINARY.items():
    operation(f"x.{name}", two, f"torch.{name}", 1e-5 if name in ["div", "pow"] else 1e-6, upstream=["y"])(lambda p, a, b, f=f: {"y": f(a, b)})
for name, f in COMPARED.items():
    operation(f"x.{name}", two, f"torch.{name}", EXACT)(lambda p, a, b, f=f: {"y": f(a, b).to(a.dtype)})


@operation("x with a number", one, "Tensor with a number", upstream=["y"])
def _(p, x):
    return {"y": {"add": x + 2.5, "sub": x - 2.5, "mul": x * -2.5, "div": x / 2.5, "pow": x**3, "square": x**2}[p["by"]]}


@operation("x.leakyRelu", one, "F.leaky_relu", upstream=["y"])
def _(p, x):
    return {"y": F.leaky_relu(x, p["slope"])}


@operation("x.clamp", one, "torch.clamp", upstream=["y"])
def _(p, x):
    return {"y": torch.clamp(x, p["low"], p["high"])}


@operation("where", lambda p: {"condition": {"shape": p["c"], "levels": 2}, **two(p)}, "torch.where", upstream=["y"], fixed=["condition"])
def _(p, condition, a, b):
    return {"y": torch.where(condition != 0, a, b)}


def axes(p, x):
    return tuple(p["axes"]) if "axes" in p else tuple(range(x.dim()))


@operation("x.sum", one, "torch.sum", upstream=["y"])
def _(p, x):
    return {"y": x.sum(axes(p, x), keepdim=p.get("keepDims", False)) if x.dim() else x.sum()}


@operation("x.mean", one, "torch.mean", upstream=["y"])
def _(p, x):
    return {"y": x.mean(axes(p, x), keepdim=p.get("keepDims", False)) if x.dim() else x.mean()}


@operation("x.max", one, "torch.amax", upstream=["y"])
def _(p, x):
    return {"y": torch.amax(x, axes(p, x), keepdim=p.get("keepDims", False))}


@operation("x.min", one, "torch.amin", upstream=["y"])
def _(p, x):
    return {"y": torch.amin(x, axes(p, x), keepdim=p.get("keepDims", False))}


@operation("x.variance", one, "torch.var", upstream=["y"])
def _(p, x):
    return {"y": torch.var(x, axes(p, x), unbiased=p["correction"] == 1, keepdim=p.get("keepDims", False))}


@operation("x.softmax", one, "torch.softmax", upstream=["y"])
def _(p, x):
    return {"y": torch.softmax(x, p["axis"])}


@operation("x.logSoftmax", one, "torch.log_softmax", upstream=["y"])
def _(p, x):
    return {"y": torch.log_softmax(x, p["axis"])}


@operation("x.matmul", two, "torch.matmul", 1e-5, upstream=["y"])
def _(p, a, b):
    return {"y": torch.matmul(a, b)}


@operation("x.reshape", one, "Tensor.reshape", EXACT, upstream=["y"])
def _(p, x):
    return {"y": x.reshape(p["to"])}


@operation("x.transpose", one, "Tensor.transpose", EXACT, upstream=["y"])
def _(p, x):
    return {"y": x.transpose(*p["axes"])}


@operation("x.permute", one, "Tensor.permute", EXACT, upstream=["y"])
def _(p, x):
    return {"y": x.permute(*p["order"])}


@operation("x.slice", one, "Tensor[a:b:c]", EXACT, upstream=["y"])
def _(p, x):
    start, end, step = p.get("start"), p.get("end"), p.get("step", 1)
    # PyTorch has no steps below 0: the places, in the order of Python's own slice.
    places = torch.tensor(list(range(x.shape[p["axis"]]))[start:end:step], dtype=torch.long)
    return {"y": x.index_select(p["axis"], places)}


@operation("x.expand", one, "Tensor.expand", upstream=["y"])
def _(p, x):
    return {"y": x.expand(p["to"])}


@operation("x.indexSelect", one, "torch.index_select", upstream=["y"])
def _(p, x):
    return {"y": x.index_select(p["axis"], torch.tensor(p["indices"]))}


@operation("x.gather", one, "torch.gather", upstream=["y"])
def _(p, x):
    return {"y": x.gather(p["axis"], torch.tensor(p["indices"]).reshape(p["to"]))}


def parts(p):
    return {f"x{i}": shape for i, shape in enumerate(p["shapes"])}


@operation("concat along an axis", parts, "torch.cat", EXACT, upstream=["y"])
def _(p, **x):
    return {"y": torch.cat(list(x.values()), p["axis"])}


@operation("stack", parts, "torch.stack", EXACT, upstream=["y"])
def _(p, **x):
    return {"y": torch.stack(list(x.values()), p["axis"])}


def compared(p):
    return {"x": p["shape"], "t": p["shape"]}


@operation("meanSquaredError", compared, "F.mse_loss", upstream=["y"], fixed=["t"])
def _(p, x, t):
    return {"y": F.mse_loss(x, t)}


@operation("meanAbsoluteError", compared, "F.l1_loss", upstream=["y"], fixed=["t"])
def _(p, x, t):
    return {"y": F.l1_loss(x, t)}


@operation("huberLoss", compared, "F.huber_loss", upstream=["y"], fixed=["t"])
def _(p, x, t):
    return {"y": F.huber_loss(x, t, delta=p["delta"])}


@operation("klDivergence", compared, "F.kl_div", upstream=["y"], fixed=["t"])
def _(p, x, t):
    return {"y": F.kl_div(x, t, reduction="batchmean")}


def normed(p):
    last = p["shape"][len(p["shape"]) - p["axes"] :]
    return {"x": p["shape"], **({"w": last, "b": last} if p["affine"] else {})}


@operation("layerNorm", normed, "F.layer_norm", 2e-6, upstream=["y"])
def _(p, x, w=None, b=None):
    return {"y": F.layer_norm(x, x.shape[x.dim() - p["axes"] :], w, b)}
