"""The cases of whole layers."""

import layer_operations  # noqa: F401 adds operations
from cases import case


def recurrent():
    for name in ["RNN layer", "LSTM layer", "GRU layer"]:
        for t, n, d, h in [[1, 1, 1, 1], [3, 2, 5, 7], [4, 3, 4, 8]]:
            case(name, {"t": t, "n": n, "d": d, "h": h})
        sizes = {"t": 4, "n": 3, "d": 2, "h": 5}
        case(name, {**sizes, "layers": 2, "bidirectional": True})
        case(name, {**sizes, "layers": 3, "batchFirst": True})
        case(name, {**sizes, "bidirectional": True, "bias": False})
        case(name, {**sizes, "layers": 2, "initial": False})
    case("LSTM layer by its last cells", {"t": 3, "n": 2, "d": 4, "h": 3, "layers": 2, "bidirectional": True})


def others():
    for x in [[3, 5], [4, 8], [2, 3, 7], [2, 3, 2, 64]]:
        case("LayerNorm layer", {"x": x})
    for x in [[6, 1], [5, 7], [4, 3, 8], [33, 5, 3]]:
        for training in [True, False]:
            case("BatchNorm1d layer", {"x": x, "training": training})
    for x in [[1, 1], [4, 2], [2, 3, 4]]:
        case("Sequential layer", {"x": x})
    for name in ["MaxPool2d layer", "AveragePool2d layer"]:
        case(name, {"x": [2, 5, 6, 3], "kernel": 2})
        case(name, {"x": [1, 7, 6, 4], "kernel": 3, "stride": 2, "padding": 1, "ceilMode": True})


def transformers():
    name = "MultiheadAttention layer"
    case(name, {"n": 2, "t": 3, "s": 5, "e": 8, "heads": 2})
    case(name, {"n": 1, "t": 1, "s": 1, "e": 3, "heads": 1})
    case(name, {"n": 3, "t": 4, "e": 6, "heads": 3, "self": True})
    case(name, {"n": 2, "t": 5, "e": 4, "heads": 2, "self": True, "causal": True})
    case(name, {"n": 2, "t": 3, "s": 4, "e": 6, "heads": 2, "mask": True})
    for p in [{}, {"causal": True}, {"activation": "gelu"}, {"normFirst": True}, {"activation": "gelu", "normFirst": True, "causal": True}]:
        sizes = {"n": 2, "t": 3, "e": 6, "heads": 2, "feedforward": 7, **p}
        case("TransformerEncoderLayer", sizes)
        case("TransformerDecoderLayer", {**sizes, "s": 4})


for add in [recurrent, others, transformers]:
    add()
