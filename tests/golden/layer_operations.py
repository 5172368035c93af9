"""Whole layers of PyTorch, by the keys of their state dicts: see operations.py."""

import torch
from torch import nn

from operations import operation

def weights(layer):
    """The specs of a layer's parameters and running statistics, in the order of its state dict."""
    specs = {}
    for key, value in layer.state_dict().items():
        shape = list(value.shape)
        if "num_batches" in key:
            continue
        if "running_var" in key:
            specs[key] = {"shape": shape, "scale": 0.5, "low": 1}
        elif len(shape) == 1:
            specs[key] = {"shape": shape, "scale": 0.5, **({"low": 1} if key.endswith("weight") else {})}
        else:
            specs[key] = {"shape": shape, "scale": shape[-1] ** -0.5}
    return specs


def filled(layer, inputs):
    """The layer with the numbers of a case for its own, which are taken out of `inputs`."""
    for key in weights(layer):
        *path, name = key.split(".")
        owner = layer
        for part in path:
            owner = getattr(owner, part)
        value = inputs.pop(key)
        if name in owner._buffers:
            owner._buffers[name] = value.clone()
        else:
            owner._parameters[name] = value
    if isinstance(layer, nn.RNNBase):
        layer._flat_weights = [getattr(layer, name) for name in layer._flat_weights_names]
    return layer


def layer(name, make, data, run, torch_name=None, upstream=("y",), **options):
    """`make` builds PyTorch's layer of `p`, `data` gives the specs of its inputs, and `run` its results."""

    def compute(p, **inputs):
        own = make(p).to(next(iter(inputs.values())).dtype).train(p.get("training", True))
        return run(p, filled(own, inputs), **inputs)

    operation(
        name,
        lambda p: {**data(p), **weights(make(p))},
        torch_name or f"nn.{name.split(' ')[0]}",
        upstream=list(upstream),
        tolerance=options.pop("tolerance", 1e-5),
        **options,
    )(compute)


# Recurrent layers


def recurrent(kind):
    return lambda p: kind(
        p["d"],
        p["h"],
        p.get("layers", 1),
        bias=p.get("bias", True),
        batch_first=p.get("batchFirst", False),
        bidirectional=p.get("bidirectional", False),
    )


def sequences(*states):
    def data(p):
        lead = [p["n"], p["t"]] if p.get("batchFirst") else [p["t"], p["n"]]
        count = p.get("layers", 1) * (2 if p.get("bidirectional") else 1)
        initial = states if p.get("initial", True) else []
        return {"x": lead + [p["d"]], **{name: [count, p["n"], p["h"]] for name in initial}}

    return data


def hidden(p, layer, x, h0=None):
    output, h = layer(x, h0)
    return {"output": output, "h": h}


def cells(p, layer, x, h0=None, c0=None):
    output, (h, c) = layer(x, None if h0 is None else (h0, c0))
    return {"output": output, "h": h, "c": c}


layer("RNN layer", recurrent(nn.RNN), sequences("h0"), hidden, upstream=["output", "h"])
layer("GRU layer", recurrent(nn.GRU), sequences("h0"), hidden, upstream=["output", "h"])
layer("LSTM layer", recurrent(nn.LSTM), sequences("h0", "c0"), cells, upstream=["output", "h", "c"])
layer("LSTM layer by its last cells", recurrent(nn.LSTM), sequences("h0", "c0"), lambda *given, **inputs: {"c": cells(*given, **inputs)["c"]}, upstream=["c"])


# Other layers


def channels_last(p, norm, x):
    """Moves the running statistics too."""
    y = norm(x.transpose(1, -1)).transpose(1, -1)
    return {"y": y, "running_mean": norm.running_mean, "running_var": norm.running_var}


def one(p, layer, x):
    return {"y": layer(x)}


def given(p):
    return {"x": p["x"]}


layer("LayerNorm layer", lambda p: nn.LayerNorm(p["x"][-1]), given, one)
layer("BatchNorm1d layer", lambda p: nn.BatchNorm1d(p["x"][-1]), given, channels_last, fixed=["running_mean", "running_var"])
layer("Sequential layer", lambda p: nn.Sequential(nn.Linear(p["x"][-1], 5), nn.Tanh(), nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 3)), nn.ReLU()), given, one)


def on_maps(p, layer, x):
    return {"y": layer(x.permute(0, 3, 1, 2).contiguous()).permute(0, 2, 3, 1)}


def pool(kind):
    return lambda p: kind(p["kernel"], p.get("stride"), p.get("padding", 0), ceil_mode=p.get("ceilMode", False))


layer("MaxPool2d layer", pool(nn.MaxPool2d), given, on_maps)
layer("AveragePool2d layer", pool(nn.AvgPool2d), given, on_maps, "nn.AvgPool2d")


# Attention


def positions(p):
    n, t, s, e = p["n"], p["t"], p.get("s", p["t"]), p["e"]
    others = {} if p.get("self") else {"key": [n, s, e], "value": [n, s, e]}
    mask = {"mask": {"shape": [t, s], "special": {"1": "-inf"}}} if p.get("mask") else {}
    return {"query": [n, t, e], **others, **mask}


def forbidden(p, like):
    if p.get("causal"):
        return torch.full((p["t"], p["t"]), float("-inf")).triu(1).to(like)
    return None


def attention(p, layer, query, key=None, value=None, mask=None):
    key, value = (query, query) if key is None else (key, value)
    mask = forbidden(p, query) if mask is None else mask
    return {"y": layer(query, key, value, attn_mask=mask, need_weights=False)[0]}


layer(
    "MultiheadAttention layer",
    lambda p: nn.MultiheadAttention(p["e"], p["heads"], batch_first=True),
    positions,
    attention,
    fixed=["mask"],
)


def transformer(kind):
    return lambda p: kind(p["e"], p["heads"], p["feedforward"], 0.0, p.get("activation", "relu"), batch_first=True, norm_first=p.get("normFirst", False))


layer(
    "TransformerEncoderLayer",
    transformer(nn.TransformerEncoderLayer),
    lambda p: {"x": [p["n"], p["t"], p["e"]]},
    lambda p, layer, x: {"y": layer(x, forbidden(p, x))},
    tolerance=2e-5,
)
layer(
    "TransformerDecoderLayer",
    transformer(nn.TransformerDecoderLayer),
    lambda p: {"x": [p["n"], p["t"], p["e"]], "memory": [p["n"], p["s"], p["e"]]},
    lambda p, layer, x, memory: {"y": layer(x, memory, forbidden(p, x))},
    tolerance=2e-5,
)
