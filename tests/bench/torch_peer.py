"""Time PyTorch: a training step of the captioner, and matrix products.

The same shapes, order of work and optimizer as tests/bench/bench.ts:
batch 25, 17 input tokens, hidden 512, word vectors 256, vocabulary 1,004,
image features of 512 numbers; loss, backward pass and Adam included.

Run as a server by the benchmark: each line "CELL STEPS" on standard input
(for example "lstm 5") answers with one line of JSON holding the milliseconds
of each step; so the two programs can take turns within one run.
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


def make_product(name):
    """`matmulNT:MxKxN`: T marks a factor that is stored transposed."""
    kind, sizes = name.removeprefix("matmul").split(":")
    m, k, n = (int(size) for size in sizes.split("x"))
    a = torch.randn(k, m).t() if kind[0] == "T" else torch.randn(m, k)
    b = torch.randn(n, k).t() if kind[1] == "T" else torch.randn(k, n)
    return lambda: a @ b


def main():
    torch.set_num_threads(2)
    made = {}
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        cell, steps = line.split()
        if cell not in made:
            made[cell] = make_product(cell) if cell.startswith("matmul") else make(cell)
            made[cell]()
        run = made[cell]
        times = []
        for _ in range(int(steps)):
            start = time.perf_counter()
            run()
            times.append(1000 * (time.perf_counter() - start))
        print(json.dumps({"ms": times}), flush=True)


if __name__ == "__main__":
    main()
