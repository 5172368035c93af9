"""Each operation of the table in PyTorch: run in float64 it is the exact result, in float32 what PyTorch loses.

A function takes the sizes and options `p` and its inputs, in neckar's layout, and gives its results by name. From
an input `d` + a result's name the gradient flows back; the gradients of all float inputs are results then.
"""

from dataclasses import dataclass, field
from typing import Callable

import numpy as np
import torch
from torch.nn import functional as F

OPERATIONS = {}
# Numbers that are only moved: what ten stored digits leave open.
EXACT = 1e-9


@dataclass
class Operation:
    name: str
    run: Callable
    # From p to the specs of the inputs; a list is a shape.
    inputs: Callable
    # PyTorch's name for it; None where it has none.
    torch: str
    tolerance: float
    # Results through which a gradient flows back.
    upstream: list = field(default_factory=list)
    # Inputs without a gradient.
    fixed: list = field(default_factory=list)
    # The gradient is only known for a gradient of 1 on each result.
    ones: bool = False
    # From (p, inputs, results) to the sizes that errors are measured by at least; "own": each number's own.
    floors: Callable = lambda p, inputs, results: {}


def operation(name, inputs, torch=None, tolerance=1e-6, **options):
    def add(run):
        OPERATIONS[name] = Operation(name, run, inputs, torch, tolerance, **options)
        return run

    return add


def typical(x):
    sizes = x.detach().abs().double().flatten()
    sizes = sizes[torch.isfinite(sizes) & (sizes > 0)]
    return float(sizes.median()) if len(sizes) else 1.0


def chw(x):
    return x.permute(0, 3, 1, 2).contiguous()


def kernel_first(w):
    return w.permute(3, 2, 0, 1).contiguous()


def hwc(x):
    return x.permute(0, 2, 3, 1)


def own(*names):
    return lambda p, inputs, results: {name: "own" for name in names}


# Single numbers


def by_upstream(p, inputs, results):
    """A value by its own size, its gradient by the size of the gradient that comes in."""
    return {"y": "own", "dx": typical(inputs["dy"])}


for name in ["relu", "tanh", "sigmoid"]:
    operation(name, lambda p: {"x": p["shape"]}, f"torch.{name}", upstream=["y"], floors=by_upstream)(
        lambda p, x, f=getattr(torch, name): {"y": f(x)}
    )


@operation("add", lambda p: {"a": p["shape"], "b": p["shape"]}, "a + b", upstream=["y"])
def _(p, a, b):
    return {"y": a + b}


@operation("one variable used three times", lambda p: {"x": p["shape"]}, "autograd", upstream=["y"])
def _(p, x):
    return {"y": torch.tanh(x) + torch.relu(x) + x}


def two(p):
    return {"a": p["shape"], "b": p["shape"]}


@operation("add scaled", two, "torch.add(alpha)")
def _(p, a, b):
    return {"y": torch.add(a, b, alpha=p["scale"])}


@operation("accumulate", two, "Tensor.add_")
def _(p, a, b):
    return {"y": a + b}


@operation("blend", two, "Tensor.lerp_")
def _(p, a, b):
    return {"y": a.lerp(b, p["rate"])}


@operation("scaleBy", lambda p: {"x": p["shape"], "factor": [1]}, "x * factor", floors=own("y"))
def _(p, x, factor):
    return {"y": x * factor}


@operation("clampInPlace", lambda p: {"x": p["shape"]}, "torch.clamp", floors=own("y"))
def _(p, x):
    return {"y": x.clamp(p["low"], p["high"])}


@operation("swapBatchAndTime", lambda p: {"x": p["shape"]}, "Tensor.transpose", tolerance=EXACT)
def _(p, x):
    return {"y": x.transpose(0, 1)}


@operation("reshape", lambda p: {"x": p["shape"]}, "Tensor.reshape", upstream=["y"], tolerance=EXACT)
def _(p, x):
    return {"y": x.reshape(p["to"])}


@operation("fit", lambda p: {"x": p["shape"]}, "F.pad", tolerance=EXACT)
def _(p, x):
    (_, b, c, d), (_, B, C, D), (i, j) = x.shape, p["to"], p["shift"]
    return {"y": F.pad(x, (0, D - d, j, C - c - j, i, B - b - i))}


def threefry(key, count):
    """Threefry-2x32-20 of the counters (i, 0): both words."""
    u = np.uint32
    with np.errstate(over="ignore"):
        ks = [u(key[0]), u(key[1]), u(0x1BD11BDA) ^ u(key[0]) ^ u(key[1])]
        x0 = np.arange(count, dtype=u) + ks[0]
        x1 = np.zeros(count, u) + ks[1]
        for n in range(20):
            r = [13, 15, 26, 6, 17, 29, 16, 24][n % 8]
            x0 = x0 + x1
            x1 = ((x1 << u(r)) | (x1 >> u(32 - r))) ^ x0
            if n % 4 == 3:
                s = n // 4 + 1
                x0 = x0 + ks[s % 3]
                x1 = x1 + ks[(s + 1) % 3] + u(s)
    return x0, x1


def drop(p, x, key):
    kept = threefry(key, x.numel())[0] >= np.uint64(int(p["p"] * 2**32))
    return {"y": x * torch.from_numpy(kept.reshape(x.shape)).to(x) / (1 - p["p"])}


@operation("dropout", lambda p: {"x": p["shape"]}, upstream=["y"], floors=own("y", "dx"))
def _(p, x):
    return drop(p, x, p["key"])


@operation("Dropout layer", lambda p: {"x": p["shape"]}, upstream=["y"], floors=own("y", "dx"))
def _(p, x):
    """Its key is what the random stream of the seed draws first."""
    return drop(p, x, [word[0] for word in threefry([p["seed"], 0], 1)])


# Sums


def by_columns(p, inputs, results):
    """Of sums of columns: the root of their squared terms."""
    return {"y": typical((inputs["x"].double() ** 2).sum(0).sqrt())}


def root_of_squares(p, inputs, results):
    """Of a sum: the root of its squared terms."""
    x = inputs["x"].double()
    terms = x**2 if p.get("square") else x
    return {"sum": float((terms**2).sum().sqrt()) * abs(p.get("scale", 1))}


@operation("sum", lambda p: {"x": p["shape"]}, "Tensor.sum", floors=root_of_squares)
def _(p, x):
    return {"sum": (x**2 if p.get("square") else x).sum() * p.get("scale", 1)}


@operation("sumAll", lambda p: {"x": p["shape"]}, "Tensor.sum", upstream=["sum"], floors=root_of_squares)
def _(p, x):
    return {"sum": x.sum()}


@operation("columnSum", lambda p: {"x": p["shape"]}, "Tensor.sum(0)", floors=by_columns)
def _(p, x):
    at = p.get("at", 0)
    return {"y": x[:, at : at + p.get("columns", x.shape[1])].sum(0)}


# Products


def product(p):
    a = [p["k"], p["m"]] if p.get("transA") else [p["m"], p["k"]]
    b = [p["n"], p["k"]] if p.get("transB") else [p["k"], p["n"]]
    return {"a": a, "b": b, **({"bias": [p["n"]]} if p.get("bias") else {})}


def multiply(p, a, b):
    return (a.T if p.get("transA") else a) @ (b.T if p.get("transB") else b)


def by_terms(p, inputs, results):
    """Of a product: the root of the squared terms."""
    return {"y": typical(multiply(p, inputs["a"].double() ** 2, inputs["b"].double() ** 2).sqrt())}


@operation("matmul", product, "torch.matmul", tolerance=1e-5, floors=by_terms)
def _(p, a, b, bias=None):
    y = multiply(p, a, b)
    return {"y": y if bias is None else y + bias}


def layer(p):
    return {"x": p["lead"] + [p["d"]], "w": [p["d"], p["k"]], **({"b": [p["k"]]} if p.get("bias") else {})}


for name in ["linear", "temporalLinear"]:
    operation(name, layer, "F.linear", upstream=["y"], tolerance=1e-5)(
        lambda p, x, w, b=None: {"y": F.linear(x, w.T, b)}
    )


def torch_layer(p):
    return {**layer(p), "w": [p["k"], p["d"]]}


@operation("Linear layer", torch_layer, "nn.Linear", upstream=["y"], tolerance=1e-5)
def _(p, x, w, b=None):
    return {"y": F.linear(x, w, b)}


# Convolutions


def window(p):
    return {"stride": p.get("stride", 1), "padding": p.get("padding", 0)}


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


@operation("adaptiveAveragePool2d", lambda p: {"x": p["x"]}, "F.adaptive_avg_pool2d", upstream=["y"], tolerance=5e-6)
def _(p, x):
    return {"y": hwc(F.adaptive_avg_pool2d(chw(x), p["size"]))}


def parts(p):
    return {f"x{i}": p["lead"] + [width] for i, width in enumerate(p["widths"])}


for name in ["concat", "concatChannels"]:
    operation(name, parts, "torch.cat", upstream=["y"], tolerance=EXACT)(
        lambda p, **inputs: {"y": torch.cat(list(inputs.values()), -1)}
    )


@operation("takeColumns", lambda p: {"x": p["x"]}, "x[:, a:b]", tolerance=EXACT)
def _(p, x):
    return {"y": x[:, p["at"] : p["at"] + p["width"]]}


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


# Tables


def table(p):
    return {"table": [p["rows"], p["width"]], "ids": {"shape": [p["count"]], "ints": p["rows"]}}


for name in ["embedding", "Embedding layer"]:
    title = "nn.Embedding" if "layer" in name else "F.embedding"
    operation(name, table, title, upstream=["y"], tolerance=1e-5)(lambda p, table, ids: {"y": F.embedding(ids, table)})


@operation("lookUp", table, "F.embedding", tolerance=EXACT)
def _(p, table, ids):
    return {"y": table[ids]}


def sizes_of_bags(p):
    return p["bags"] * p.get("times", 1)


def bags(p):
    return {"table": [p["rows"], p["width"]], "ids": {"shape": [sum(sizes_of_bags(p))], "ints": p["rows"]}}


@operation("embeddingBag", bags, "F.embedding_bag", upstream=["y"], tolerance=1e-5)
def _(p, table, ids):
    offsets = torch.tensor(np.cumsum([0] + sizes_of_bags(p)[:-1]))
    return {"y": F.embedding_bag(ids, table, offsets, mode=p["mode"])}


def sequence(p):
    t, n, h = p["x"]
    return {"x": p["x"], "lengths": {"shape": [n], "ints": t, "low": 1}}


@operation("maxOverTime", sequence, "Tensor.max(0)", upstream=["y"], tolerance=EXACT)
def _(p, x, lengths):
    columns = [x[: int(length), n].max(0).values for n, length in enumerate(lengths)]
    return {"y": torch.stack(columns)}


# Recurrent cells


def cell(gates):
    def inputs(p):
        t, n, d, h = p["t"], p["n"], p["d"], p["h"]
        scale = p.get("scale", 1)
        return {
            "x": [t, n, d],
            "h0": [n, h],
            "wx": {"shape": [d, gates * h], "scale": scale * (3 / d) ** 0.5},
            "wh": {"shape": [h, gates * h], "scale": scale * (3 / h) ** 0.5},
            "b": [gates * h],
            **({"c0": [n, h]} if p.get("c0") else {}),
        }

    return inputs


def run_rnn(x, h, wx, wh, b):
    states = []
    for step in x:
        h = torch.tanh(step @ wx + h @ wh + b)
        states.append(h)
    return torch.stack(states)


def run_lstm(x, h, c, wx, wh, b):
    states = []
    for step in x:
        f, i, g, o = (step @ wx + h @ wh + b).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states.append(h)
    return torch.stack(states), c


@operation("rnn", cell(1), "nn.RNN's formula", upstream=["h"], tolerance=1e-5)
def _(p, x, h0, wx, wh, b):
    return {"h": run_rnn(x, h0, wx, wh, b)}


@operation("lstm", cell(4), "nn.LSTM's formula", upstream=["h", "c"], tolerance=1e-5)
def _(p, x, h0, wx, wh, b, c0):
    h, c = run_lstm(x, h0, c0, wx, wh, b)
    return {"h": h, "c": c}


def zero_cells(p, x, h0, wx, wh, b):
    return {"h": run_lstm(x, h0, torch.zeros_like(h0), wx, wh, b)[0]}


operation("lstm on the tape", cell(4), "nn.LSTM's formula", upstream=["h"], tolerance=1e-5)(zero_cells)


@operation("rnnStep", cell(1), "nn.RNNCell", upstream=["h"], tolerance=1e-5)
def _(p, x, h0, wx, wh, b):
    return {"h": torch.tanh(x[0] @ wx + h0 @ wh + b)}


@operation("lstmStep", cell(4), "nn.LSTMCell", upstream=["h", "c"], tolerance=1e-5)
def _(p, x, h0, wx, wh, b, c0):
    h, c = run_lstm(x, h0, c0, wx, wh, b)
    return {"h": h[0], "c": c}


def recurrent(gates):
    """The weights of PyTorch's modules, in their layout and order of gates."""

    def inputs(p):
        own = cell(gates)({**p, "c0": False})
        d, h = p["d"], p["h"]
        own["wx"] = {**own["wx"], "shape": [gates * h, d]}
        own["wh"] = {**own["wh"], "shape": [gates * h, h]}
        return own

    return inputs


def recurrent_module(p, x, h0, wx, wh, b):
    """What nn.RNN and nn.LSTM call."""
    zeros, options = torch.zeros_like, (True, 1, 0.0, False, False, False)
    if wx.shape[0] == h0.shape[1]:
        return {"h": torch._VF.rnn_tanh(x, h0[None], [wx, wh, b, zeros(b)], *options)[0]}
    return {"h": torch._VF.lstm(x, (h0[None], zeros(h0[None])), [wx, wh, b, zeros(b)], *options)[0]}


operation("Recurrent layer rnn", recurrent(1), "nn.RNN", upstream=["h"], tolerance=1e-5)(recurrent_module)
operation("Recurrent layer lstm", recurrent(4), "nn.LSTM", upstream=["h"], tolerance=1e-5)(recurrent_module)
