"""The same in PyTorch."""
import torch
from torch import nn
from torch.nn import functional as F


def bars(count):  # a row or a column of 4 x 4 pixels each
    pixels = F.one_hot(torch.randint(4, (count,)), 4).float().unsqueeze(2).expand(-1, -1, 4)
    across = torch.rand(count, 1, 1) < 0.5
    return torch.where(across, pixels, pixels.transpose(1, 2)).reshape(count, 16)


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
        self.decode = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 16))

    def loss(self, x, noise):
        mean, log = self.encode(x).chunk(2, 1)  # log of the variance
        seen = self.decode(mean + torch.exp(log / 2) * noise)
        missed = F.binary_cross_entropy_with_logits(seen, x) * 16
        return missed + (mean.square() + log.exp() - log - 1).sum(1).mean() / 2


torch.manual_seed(1)
model = Vae()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
losses = []
for step in range(400):
    loss = model.loss(bars(64), torch.randn(64, 2))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(f"{losses[0]:.2f} at first, {losses[-1]:.2f} at last")
