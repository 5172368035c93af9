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


for add in [recurrent]:
    add()
