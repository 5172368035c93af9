"""Time PyTorch: training steps of the captioner, the sentence classifiers and torchvision's networks, and products.

The same shapes, order of work and optimizer as tests/bench/bench.ts:
batch 25, 17 input tokens, hidden 512, word vectors 256, vocabulary 1,004,
image features of 512 numbers; loss, backward pass and Adam included.

Run as a server by the benchmark, with the argument "cuda" on a GPU: each line "CELL STEPS" on standard input
(for example "lstm 5") answers with one line of JSON holding the milliseconds
of a step; so the two programs can take turns within one run. A line
"data NAME JSON" keeps data under a name and is answered by an empty object.
"""

import json
import sys
import time

import torch
from torch import nn

BATCH, STEPS, HIDDEN, WORDS, VOCABULARY, FEATURES = 25, 17, 512, 256, 1004, 512


class Captioner(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell
        self.project = nn.Linear(FEATURES, HIDDEN)
        self.embed = nn.Embedding(VOCABULARY, WORDS)
        kind = {"rnn": nn.RNN, "lstm": nn.LSTM}[cell]
        self.recurrent = kind(WORDS, HIDDEN, batch_first=True)
        self.score = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, features, words):
        h0 = self.project(features).unsqueeze(0)
        state = (h0, torch.zeros_like(h0)) if self.cell == "lstm" else h0
        states, _ = self.recurrent(self.embed(words), state)
        return self.score(states)


def make(cell):
    torch.manual_seed(0)
    model = Captioner(cell)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    features = torch.randn(BATCH, FEATURES)
    words = torch.randint(1, VOCABULARY, (BATCH, STEPS))
    targets = torch.randint(1, VOCABULARY, (BATCH, STEPS))

    def step():
        optimizer.zero_grad()
        scores = model(features, words)
        loss = nn.functional.cross_entropy(
            scores.reshape(-1, VOCABULARY), targets.reshape(-1), ignore_index=0, reduction="sum"
        ) / BATCH
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


class Classifier(nn.Module):
    """`way`: for the bag of words, a Linear layer over binary vectors or an EmbeddingBag."""

    def __init__(self, kind, vocabulary, width, hidden, sparse, way):
        super().__init__()
        self.kind, self.way, self.vocabulary = kind, way, vocabulary
        if way == "linear":
            self.score = nn.Linear(vocabulary, 1)
        elif way == "bag":
            self.words = nn.EmbeddingBag(vocabulary, 1, mode="sum")
            self.bias = nn.Parameter(torch.zeros(1))
        elif kind == "average":
            self.words = nn.EmbeddingBag(vocabulary, width, mode="mean", sparse=sparse)
            self.score = nn.Linear(width, 1)
        else:
            self.words = nn.Embedding(vocabulary, width, sparse=sparse)
            self.recurrent = {"rnn": nn.RNN, "lstm": nn.LSTM}[kind](width, hidden)
            self.score = nn.Linear(hidden, 1)

    def forward(self, words, lengths, offsets, owners):
        if self.way == "linear":
            binary = torch.zeros(len(lengths), self.vocabulary)
            binary[owners, words] = 1
            return self.score(binary)[:, 0]
        if self.way == "bag":
            return self.words(words, offsets)[:, 0] + self.bias
        if self.kind == "average":
            return self.score(self.words(words, offsets))[:, 0]
        states, _ = self.recurrent(self.words(words))
        last = states[lengths - 1, torch.arange(len(lengths))]
        return self.score(last)[:, 0]


def make_sentences(name, data):
    """`sentences-KIND-WIDTH-ADAM-WAY`: a step over the next batch. Batches are made into tensors beforehand."""
    _, kind, width, adam, way = name.split("-")
    sparse = adam == "sparse"
    torch.manual_seed(0)
    model = Classifier(kind, data["vocabulary"], int(width), data["hidden"], sparse, way)
    optimizers = []
    if sparse:
        optimizers.append(torch.optim.SparseAdam(list(model.words.parameters()), lr=1e-3))
        optimizers.append(torch.optim.Adam(model.score.parameters(), lr=1e-3))
    else:
        optimizers.append(torch.optim.Adam(model.parameters(), lr=1e-3))
    batches = []
    for sentences in data["batches"]:
        if kind == "bow":
            sentences = [sorted(set(sentence)) for sentence in sentences]
        lengths = torch.tensor([len(sentence) for sentence in sentences])
        offsets = torch.cumsum(lengths, 0) - lengths
        owners = torch.repeat_interleave(torch.arange(len(sentences)), lengths)
        if kind in ("bow", "average"):
            words = torch.tensor([word for sentence in sentences for word in sentence])
        else:
            words = torch.zeros(int(lengths.max()), len(sentences), dtype=torch.long)
            for n, sentence in enumerate(sentences):
                words[: len(sentence), n] = torch.tensor(sentence)
        batches.append(((words, lengths, offsets, owners), torch.arange(len(sentences)) % 2.0))
    turn = 0

    def step():
        nonlocal turn
        inputs, targets = batches[turn % len(batches)]
        turn += 1
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(*inputs), targets)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        return loss

    return step


def make_vision(name):
    """`vision-BACKBONE-LEARNT`: a training step at batch 4, 224 x 224, two classes."""
    import torchvision

    _, backbone, learned = name.split("-")
    torch.manual_seed(0)
    model = getattr(torchvision.models, backbone)(num_classes=2)
    if learned == "head":
        head = (model.fc if backbone == "resnet18" else model.classifier[1]).parameters()
        model.requires_grad_(False)
        for parameter in head:
            parameter.requires_grad_(True)
    learnable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learnable, lr=1e-3, momentum=0.9)
    pixels, targets = torch.randn(4, 3, 224, 224), torch.tensor([0, 1, 1, 0])

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(pixels), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def make_style():
    """`style`: an iteration of style transfer at the homework's size, with random pictures and weights."""
    import pathlib

    import torchvision

    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "fixtures"))
    import style_torch

    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1().features.eval().requires_grad_(False)
    content, style = torch.randn(1, 3, 192, 265), torch.randn(1, 3, 192, 265)
    return style_torch.Transfer(network, content, style, style_torch.PRESETS["composition"]).step


def make_product(name):
    """`matmulNT:MxKxN`: T marks a factor that is stored transposed."""
    kind, sizes = name.removeprefix("matmul").split(":")
    m, k, n = (int(size) for size in sizes.split("x"))
    a = torch.randn(k, m).t() if kind[0] == "T" else torch.randn(m, k)
    b = torch.randn(n, k).t() if kind[1] == "T" else torch.randn(k, n)
    return lambda: a @ b


def main():
    cuda = sys.argv[1:] == ["cuda"] and torch.cuda.is_available()
    if cuda:
        torch.set_default_device("cuda")
        torch.backends.cuda.matmul.allow_tf32 = False  # float32 as everywhere else
        torch.backends.cudnn.allow_tf32 = False
        device = torch.cuda.get_device_name()
    else:
        torch.set_num_threads(2)
        device = f"CPU, {torch.get_num_threads()} threads"
    made = {}
    data = {}
    print(json.dumps({"torch": torch.__version__, "device": device}), flush=True)
    for line in sys.stdin:
        if line.startswith("data "):
            _, name, text = line.split(" ", 2)
            data[name] = json.loads(text)
            print("{}", flush=True)
            continue
        cell, steps = line.split()
        if cell not in made:
            if cell.startswith("matmul"):
                made[cell] = make_product(cell)
            elif cell == "style":
                made[cell] = make_style()
            elif cell.startswith("vision"):
                made[cell] = make_vision(cell)
            elif cell.startswith("sentences"):
                made[cell] = make_sentences(cell, data["sentences"])
            else:
                made[cell] = make(cell)
                made[cell]()
        run = made[cell]
        start = time.perf_counter()
        for _ in range(int(steps)):
            run()
        if cuda:
            torch.cuda.synchronize()
        ms = 1000 * (time.perf_counter() - start) / int(steps)
        print(json.dumps({"ms": ms}), flush=True)


if __name__ == "__main__":
    main()
