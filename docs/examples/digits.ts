/** Digits by a small CNN. Run: deno run --allow-read docs/examples/digits.ts */
import * as nn from "../../mod.ts";

const FONT = [31599, 11415, 29671, 29647, 23497, 31183, 31215, 29257, 31727, 31695]; // 3 x 5 pixels
const random = new nn.RandomStream(1);
function draw(gpu: nn.Gpu, labels: number[]): nn.Tensor { // noisy, anywhere in 8 x 8 pixels
  const pixels = new Float32Array(64 * labels.length).map(() => 0.1 * random.normal());
  for (const [n, label] of labels.entries()) {
    const corner = 64 * n + 8 * random.integer(4) + random.integer(6);
    for (let i = 0; i < 15; i++) {
      pixels[corner + 8 * (i / 3 | 0) + i % 3] += FONT[label] >> 14 - i & 1;
    }
  }
  return nn.Tensor.from(gpu, pixels, [labels.length, 8, 8, 1]);
}
const some = (count: number) => Array.from({ length: count }, () => random.integer(10));
using gpu = await nn.openGpu();
const wide = new nn.Conv2d(1, 32, 5, { padding: 2 });
const parts = [wide, (x: nn.Variable) => x.relu(), new nn.MaxPool2d(2), new nn.Conv2d(32, 64, 3)];
const flat = (x: nn.Variable) => x.relu().reshape([-1, 256]);
using model = new nn.Sequential(...parts, flat, new nn.Linear(256, 10)).toGpu(gpu, 1);
const optimizer = new nn.Adam(model.store, { lr: 3e-3 });
const batches = () => Array.from({ length: 300 }, () => some(64));
const loss = (labels: number[], { tape }: nn.Step) =>
  nn.crossEntropy(model.forward(tape.keep(draw(gpu, labels))), labels);
await nn.fit(model, { optimizer, batches, loss });
const labels = some(500);
using _tape = new nn.Tape(gpu, { training: false });
const digits = await model.forward(draw(gpu, labels)).argmax().read();
console.log(`${labels.filter((label, i) => label === digits[i]).length} of 500 digits are right`);
