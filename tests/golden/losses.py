"""The losses and the optimizers of the table in PyTorch: see operations.py."""

import torch
from torch.nn import functional as F

from operations import EXACT, operation


def scores(p):
    return {"scores": p["shape"], "targets": {"shape": p["shape"][:-1], "ints": p["shape"][-1]}}


def cross_entropy(scores, targets, **options):
    rows, flat = scores.reshape(-1, scores.shape[-1]), targets.reshape(-1)
    return F.cross_entropy(rows, flat, **options)


def row_losses(p, scores, targets):
    losses = cross_entropy(scores, targets, reduction="none", ignore_index=p.get("ignore", -1))
    return {"losses": losses * p.get("scale", 1)}


operation("softmaxCrossEntropy", scores, "F.cross_entropy(none)", upstream=["losses"], ones=True)(row_losses)
operation("softmaxCrossEntropy without gradient", scores, "F.cross_entropy(none)")(row_losses)


@operation("temporalSoftmaxLoss", scores, "F.cross_entropy(sum)", upstream=["loss"])
def _(p, scores, targets):
    share = p["tokens"] if p.get("reduction") == "tokens" else scores.shape[1]
    return {"loss": cross_entropy(scores, targets, reduction="sum", ignore_index=p.get("ignore", 0)) / share}


def weighted_scores(p):
    weight = {"weight": {"shape": p["shape"][-1:], "scale": 0.5, "low": 0.75}} if p.get("weight") else {}
    return {**scores(p), **weight}


@operation("crossEntropy", weighted_scores, "F.cross_entropy", upstream=["loss"], fixed=["weight"])
def _(p, scores, targets, weight=None):
    # Without an ignored number: PyTorch's own default is one that no class has. A tensor holds a negative one as 2^32 less.
    options = {"weight": weight, "label_smoothing": p.get("labelSmoothing", 0.0), "ignore_index": p.get("ignore", -100) % 2**32}
    reduction = p.get("reduction", "mean")
    loss = cross_entropy(scores, targets, reduction=reduction, **options)
    return {"loss": loss.reshape(scores.shape[:-1]) if reduction == "none" else loss}


@operation("logSoftmax", lambda p: {"scores": p["shape"]}, "F.log_softmax")
def _(p, scores):
    return {"y": F.log_softmax(scores, 1)}


@operation("argmax", lambda p: {"scores": p["shape"]}, "Tensor.max(1)", tolerance=EXACT)
def _(p, scores):
    return {"y": scores.max(1).indices}


def logits(p):
    return {"logits": p["shape"], "targets": {"shape": [p["shape"][0]], "scale": 0.5, "low": 0.5}}


@operation("binaryCrossEntropy", logits, "F.binary_cross_entropy_with_logits", upstream=["loss"], fixed=["targets"])
def _(p, logits, targets):
    return {"loss": F.binary_cross_entropy_with_logits(logits.reshape(-1), targets)}


@operation("sigmoidCrossEntropy", logits, "F.binary_cross_entropy_with_logits(sum)", upstream=["loss"], fixed=["targets"])
def _(p, logits, targets):
    return {"loss": F.binary_cross_entropy_with_logits(logits.reshape(-1), targets, reduction="sum") * p["scale"]}


# Optimizers: one step of a kernel from given moments, or several of a class from zero.


def step_inputs(*moments):
    def inputs(p):
        shape = p["shape"]
        positive = {"shape": shape, "scale": 0.25, "low": 0.25}
        return {"w": shape, "g": shape, **{m: positive if m == "square" else shape for m in moments}}

    return inputs


def clipped(p, g):
    """The gradient, brought to the largest norm."""
    holder = torch.zeros_like(g, requires_grad=True)
    holder.grad = g.clone()
    if p.get("maxNorm"):
        torch.nn.utils.clip_grad_norm_([holder], p["maxNorm"])
    return holder.grad


def sgd(w, p):
    return torch.optim.SGD([w], lr=p["lr"], momentum=p.get("momentum", 0), weight_decay=p.get("weightDecay", 0), nesterov=p.get("nesterov", False))


def adam(w, p):
    betas = (p.get("beta1", 0.9), p.get("beta2", 0.999))
    options = {"eps": p.get("epsilon", 1e-8), "weight_decay": p.get("weightDecay", 0)}
    return torch.optim.Adam([w], lr=p["lr"], betas=betas, **options)


def adamw(w, p):
    betas = (p.get("beta1", 0.9), p.get("beta2", 0.999))
    return torch.optim.AdamW([w], lr=p["lr"], betas=betas, eps=p.get("epsilon", 1e-8), weight_decay=p.get("weightDecay", 0.01))


def rmsprop(w, p):
    options = {"eps": p.get("epsilon", 1e-8), "weight_decay": p.get("weightDecay", 0)}
    return torch.optim.RMSprop([w], lr=p["lr"], alpha=p.get("alpha", 0.99), **options)


def stepped(make, p, start, gradients, state=None):
    """The parameter after steps along the gradients, and the optimizer's state."""
    w = start.clone().requires_grad_()
    optimizer = make(w, p)
    if state is not None:
        optimizer.state[w] = state
    for gradient in gradients:
        w.grad = clipped(p, gradient)
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= p.get("decay", 1)
    return w.detach(), optimizer.state[w]


@operation("sgdStep", step_inputs("velocity"), "optim.SGD")
def _(p, w, g, velocity):
    w, state = stepped(sgd, p, w, [g], {"momentum_buffer": velocity.clone()})
    return {"w": w, "velocity": state["momentum_buffer"]}


@operation("adamStep", step_inputs("mean", "square"), "optim.Adam")
def _(p, w, g, mean, square):
    state = {"step": torch.tensor(float(p["t"] - 1)), "exp_avg": mean.clone(), "exp_avg_sq": square.clone()}
    w, state = stepped(adam, p, w, [g], state)
    return {"w": w, "mean": state["exp_avg"], "square": state["exp_avg_sq"]}


@operation("rmspropStep", step_inputs("square"), "optim.RMSprop")
def _(p, w, g, square):
    w, state = stepped(rmsprop, p, w, [g], {"step": 3, "square_avg": square.clone()})
    return {"w": w, "square": state["square_avg"]}


def rows_inputs(p):
    shape = [p["rows"], p["width"]]
    ids = {"shape": [p["count"]], "ints": p["rows"]}
    return {**step_inputs("mean", "square")({"shape": shape}), "ids": ids}


@operation("adamRowsStep", rows_inputs, "optim.Adam on the rows")
def _(p, w, g, mean, square, ids):
    rows = torch.unique(ids)
    count = torch.tensor(float(p["t"] - 1))
    state = {"step": count, "exp_avg": mean[rows].clone(), "exp_avg_sq": square[rows].clone()}
    moved, state = stepped(adam, p, w[rows], [g[rows]], state)
    whole = {"w": w.clone(), "mean": mean.clone(), "square": square.clone()}
    whole["w"][rows], whole["mean"][rows], whole["square"][rows] = moved, state["exp_avg"], state["exp_avg_sq"]
    return whole


def steps_inputs(p):
    return {"w": p["shape"], **{f"g{i}": p["shape"] for i in range(p["steps"])}}


for name, title, make in [("Sgd", "SGD", sgd), ("RmsProp", "RMSprop", rmsprop), ("Adam", "Adam", adam), ("AdamW", "AdamW", adamw)]:
    operation(name, steps_inputs, f"optim.{title}")(
        lambda p, w, make=make, **gradients: {"w": stepped(make, p, w, list(gradients.values()))[0]}
    )


def lookups(p):
    named = {"w": [p["rows"], p["width"]]}
    for i in range(p["steps"]):
        named[f"ids{i}"] = {"shape": [p["count"]], "ints": p["rows"]}
        named[f"g{i}"] = [p["count"], p["width"]]
    return named


@operation("Adam on a sparse table", lookups, "optim.Adam on the rows")
def _(p, w, **inputs):
    """Steps that look up some rows, and move only these and their moments."""
    w, mean, square = w.clone(), torch.zeros_like(w), torch.zeros_like(w)
    for t in range(p["steps"]):
        ids = inputs[f"ids{t}"]
        rows = torch.unique(ids)
        gradient = torch.zeros_like(w).index_add_(0, ids, inputs[f"g{t}"])
        state = {"step": torch.tensor(float(t)), "exp_avg": mean[rows].clone(), "exp_avg_sq": square[rows].clone()}
        moved, state = stepped(adam, p, w[rows], [gradient[rows]], state)
        w[rows], mean[rows], square[rows] = moved, state["exp_avg"], state["exp_avg_sq"]
    return {"w": w}


@operation("WeightAverage", steps_inputs)
def _(p, w, **weights):
    """The average after steps whose weights are the given ones."""
    average = w
    for t, later in enumerate(weights.values(), 1):
        decay = min(p["decay"], (1 + t) / (10 + t))
        average = average + (1 - decay) * (later - average)
    return {"average": average}
