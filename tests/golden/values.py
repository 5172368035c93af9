"""Inputs that both sides make alike, and how far a result is from the exact one: the twin of values.ts."""

import numpy as np

TINY = 2.0**-126
MOST = float(np.finfo(np.float32).max)
ALL, SPREAD, BLOCKS = 64, 24, 16
NAMED = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "-0": -0.0}


def seed_of(text):
    """FNV-1a of a text."""
    h = 0x811C9DC5
    for byte in text.encode():
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return h


def words(seed, count):
    """24 random bits for each place: a hash of the place."""
    with np.errstate(over="ignore"):
        h = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(seed)
        h ^= h >> np.uint32(16)
        h *= np.uint32(0x7FEB352D)
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x846CA68B)
        h ^= h >> np.uint32(16)
    return h >> np.uint32(8)


def make(spec, seed):
    """The numbers of an input: float32, or uint32 where the spec says `ints`."""
    count = int(np.prod(spec["shape"]))
    random = words(seed, count)
    if "ints" in spec:
        values = (random % np.uint32(spec["ints"]) + np.uint32(spec.get("low", 0))).astype(np.uint32)
    else:
        scale, low = spec.get("scale", 1), spec.get("low", 0)
        if "fill" in spec:
            values = np.full(count, spec["fill"], np.float32)
        elif "levels" in spec:
            values = ((random % np.uint32(spec["levels"]) + float(low)) * scale).astype(np.float32)
        else:
            values = ((random / 2.0**23 - 1) * scale).astype(np.float32)
            values = (values.astype(np.float64) + low).astype(np.float32)
    for place, value in spec.get("special", {}).items():
        values[int(place)] = NAMED.get(value, value) if isinstance(value, str) else value
    return values.reshape(spec["shape"])


def places(size):
    """Which numbers of a result are compared one by one."""
    if size <= ALL:
        return np.arange(size)
    edges = [0, 1, 2, 3, 62, 63, 64, size // 2, size - 4, size - 3, size - 2, size - 1]
    spread = words(size, SPREAD).astype(np.int64) * size // 2**24
    return np.unique(np.concatenate([np.array(edges), spread]))


def blocks(size):
    """Where the blocks begin whose weighted sums are compared, and the end of the last."""
    return [] if size <= ALL else [j * size // BLOCKS for j in range(BLOCKS + 1)]


def block_sums(values):
    """For each block the sum of its finite numbers times fixed random weights, and their mean square."""
    starts = blocks(values.size)
    weights = words(seed_of("weights"), values.size) / 2.0**23 - 1
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
    pairs = list(zip(starts, starts[1:]))
    return (
        np.array([float((finite[a:b] * weights[a:b]).sum()) for a, b in pairs]),
        np.array([float((finite[a:b] ** 2).mean()) for a, b in pairs]),
    )


def odd(values):
    """How many are NaN, +infinity and -infinity."""
    return [int(np.isnan(values).sum()), int((values == np.inf).sum()), int((values == -np.inf).sum())]


def number(value):
    return f"{value:.10g}"


def summarise(exact, single, floor):
    """What is kept of an exact result; `single` is PyTorch's in float32, or None."""
    exact = exact.reshape(-1)
    at = places(exact.size)
    shown = []
    for i in at:
        value = float(exact[i])
        over = MOST < abs(value) < np.inf
        beyond = single is not None and np.isfinite(value) and not np.isfinite(single.reshape(-1)[i])
        # "!": anything that is not finite; "~": that, or the number.
        shown.append("!" if over else f"~{number(value)}" if beyond else number(value))
    kept = {"size": int(exact.size), "floor": float(f"{max(floor, TINY):.3g}"), "v": " ".join(shown)}
    if exact.size > ALL:
        if any("~" in s or "!" in s for s in shown):
            raise ValueError("a case that overflows must be small")
        kept["b"] = " ".join(number(s) for s in block_sums(exact)[0])
        if any(odd(exact)):
            kept["odd"] = odd(exact)
    return kept


def one_error(token, value, floor):
    if token == "!":
        return np.inf if np.isfinite(value) else 0.0
    if token[0] == "~":
        return one_error(token[1:], value, floor) if np.isfinite(value) else 0.0
    expected = float(token)
    if not np.isfinite(expected) or not np.isfinite(value):
        same = (np.isnan(expected) and np.isnan(value)) or expected == value
        return 0.0 if same else np.inf
    # The nearest float32 is as right as can be, and below the smallest normal one a GPU may say 0.
    if np.float32(expected) == value or abs(expected) < TINY and abs(value) <= TINY:
        return 0.0
    return abs(value - expected) / max(abs(expected), floor)


def error(kept, values):
    """The largest error of a result against what is kept of the exact one."""
    values = values.reshape(-1).astype(np.float64)
    if values.size != kept["size"]:
        return np.inf
    tokens = kept["v"].split(" ") if kept["v"] else []
    worst = 0.0
    for token, value in zip(tokens, values[places(values.size)]):
        worst = max(worst, one_error(token, value, kept["floor"]))
    if "b" in kept:
        if odd(values) != kept.get("odd", [0, 0, 0]):
            return np.inf
        sums, squares = block_sums(values)
        starts = blocks(values.size)
        for j, expected in enumerate(kept["b"].split(" ")):
            scale = max(kept["floor"], squares[j] ** 0.5) * (starts[j + 1] - starts[j]) ** 0.5
            worst = max(worst, abs(sums[j] - float(expected)) / scale)
    return worst


def typical(values):
    """The median of the sizes of the finite numbers that are not 0."""
    sizes = np.abs(values.reshape(-1).astype(np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.median(sizes)) if sizes.size else 1.0
