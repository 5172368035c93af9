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


for name in ["linear", "linear of sequences"]:
    operation(name, layer, "F.linear", upstream=["y"], tolerance=1e-5)(
        lambda p, x, w, b=None: {"y": F.linear(x, w.T, b)}
    )


def torch_layer(p):
    return {**layer(p), "w": [p["k"], p["d"]]}


@operation("Linear layer", torch_layer, "nn.Linear", upstream=["y"], tolerance=1e-5)
def _(p, x, w, b=None):
    return {"y": F.linear(x, w, b)}
