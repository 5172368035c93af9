"""The same in PyTorch."""
import torch
from torch import nn
from torch.nn import functional as F

text = "the quick brown fox jumps over the lazy dog, and the dog sleeps on. "
letters = sorted(set(text))
ids = torch.tensor([letters.index(letter) for letter in text])


class Speller(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(letters), 16)
        self.lstm = nn.LSTM(16, 96)
        self.score = nn.Linear(96, len(letters))

    def forward(self, ids):
        output, _ = self.lstm(self.embed(ids).reshape(len(ids), 1, 16))
        return self.score(output).reshape(len(ids), -1)


torch.manual_seed(1)
model = Speller()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(120):
    loss = F.cross_entropy(model(ids[:-1]), ids[1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
spelt = [letters.index("t")]
with torch.no_grad():
    while len(spelt) < len(text):
        spelt.append(model(torch.tensor(spelt)).argmax(1)[-1].item())
print("".join(letters[i] for i in spelt))
