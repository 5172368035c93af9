"""The same in PyTorch."""
import torch
from torch import nn
from torch.nn import functional as F


class Xor(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(2, 8)
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x)))


torch.manual_seed(1)
x = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
y = torch.tensor([[0.0], [1], [1], [0]])
model = Xor()
adam = torch.optim.Adam(model.parameters(), lr=0.1)
for step in range(100):
    loss = F.binary_cross_entropy_with_logits(model(x), y)
    adam.zero_grad()
    loss.backward()
    adam.step()
with torch.no_grad():
    print(" ".join(f"{p:.2f}" for p in torch.sigmoid(model(x)).flatten()))
