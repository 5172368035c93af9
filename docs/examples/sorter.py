"""The same in PyTorch."""
import torch
from torch import nn
from torch.nn import functional as F


class Sorter(nn.Module):
    def __init__(self):
        super().__init__()
        self.digits = nn.Embedding(10, 32)
        self.places = nn.Embedding(6, 32)
        layers = [nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True) for _ in range(2)]
        self.layers = nn.ModuleList(layers)
        self.score = nn.Linear(32, 10)

    def forward(self, rows):
        x = self.digits(rows) + self.places(torch.arange(6))
        for layer in self.layers:
            x = layer(x)
        return self.score(x)


torch.manual_seed(1)
model = Sorter()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(300):
    rows = torch.randint(10, (64, 6))
    scores = model(rows).reshape(-1, 10)
    loss = F.cross_entropy(scores, rows.sort(1).values.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    print(*model(torch.tensor([[3, 1, 4, 1, 5, 9]])).argmax(2)[0].tolist())
