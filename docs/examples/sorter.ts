/** A tiny transformer sorts six digits. Run: deno run --allow-read docs/examples/sorter.ts */
import * as nn from "../../mod.ts";

const small = { feedforward: 64, dropout: 0 };
class Sorter extends nn.Module {
  readonly digits = new nn.Embedding(10, 32);
  readonly places = new nn.Embedding(6, 32);
  readonly layers = [1, 2].map(() => new nn.TransformerEncoderLayer(32, 4, small));
  readonly score = new nn.Linear(32, 10);

  forward(rows: number[][]) {
    const x = this.digits.forward(rows.flat()).reshape([rows.length, 6, 32]);
    const placed = x.add(this.places.forward([0, 1, 2, 3, 4, 5]));
    return this.score.forward(this.layers.reduce((x, layer) => layer.forward(x), placed));
  }
}

const random = new nn.RandomStream(1);
const row = () => Array.from({ length: 6 }, () => random.integer(10));
const rows = () => Array.from({ length: 64 }, row);
using gpu = await nn.openGpu();
using model = new Sorter().toGpu(gpu, 1);
const optimizer = new nn.Adam(model.store, { lr: 3e-3 });
const loss = (rows: number[][]) =>
  nn.crossEntropy(model.forward(rows), rows.flatMap((row) => row.toSorted()));
await nn.fit(model, { optimizer, batches: () => Array.from({ length: 300 }, rows), loss });
using _tape = new nn.Tape(gpu, { training: false });
console.log((await model.forward([[3, 1, 4, 1, 5, 9]]).argmax().read()).join(" "));
