"""Tables and recurrent cells in PyTorch: see operations.py."""

import numpy as np
import torch
from torch.nn import functional as F

from operations import EXACT, operation

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
