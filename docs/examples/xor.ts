/** XOR by eight hidden units. Run: deno run --allow-read docs/examples/xor.ts */
import * as nn from "../../mod.ts";

class Xor extends nn.Module {
  readonly hidden = new nn.Linear(2, 8);
  readonly out = new nn.Linear(8, 1);

  forward(x: nn.Tensor) {
    return this.out.forward(this.hidden.forward(x).tanh());
  }
}

using gpu = await nn.openGpu();
using x = nn.Tensor.from(gpu, [0, 0, 0, 1, 1, 0, 1, 1], [4, 2]);
using y = nn.Tensor.from(gpu, [0, 1, 1, 0]);
using model = new Xor().toGpu(gpu, 1);
using adam = new nn.Adam(model.store, { lr: 0.1 });
for (let step = 0; step < 100; step++) {
  using _tape = new nn.Tape(gpu);
  nn.binaryCrossEntropy(model.forward(x), y).backward();
  adam.step();
}
using _tape = new nn.Tape(gpu, { training: false });
const answers = await model.forward(x).sigmoid().tensor.read();
console.log(Array.from(answers, (p) => p.toFixed(2)).join(" "));
