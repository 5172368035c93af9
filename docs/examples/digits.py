"""The same in PyTorch."""
import torch
from torch import nn
from torch.nn import functional as F

FONT = [31599, 11415, 29671, 29647, 23497, 31183, 31215, 29257, 31727, 31695]  # 3 x 5 pixels


def draw(labels):  # noisy, anywhere in 8 x 8 pixels
    pixels = 0.1 * torch.randn(len(labels), 1, 8, 8)
    for n, label in enumerate(labels):
        top, left = torch.randint(4, ()), torch.randint(6, ())
        for i in range(15):
            pixels[n, 0, top + i // 3, left + i % 3] += FONT[label] >> 14 - i & 1
    return pixels


torch.manual_seed(1)
model = nn.Sequential(
    nn.Conv2d(1, 32, 5, padding=2),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(256, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(300):
    labels = torch.randint(10, (64,))
    loss = F.cross_entropy(model(draw(labels)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
labels = torch.randint(10, (500,))
with torch.no_grad():
    digits = model(draw(labels)).argmax(1)
print(f"{(digits == labels).sum()} of 500 digits are right")
