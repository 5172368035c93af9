/** A character LSTM learns a sentence. Run: deno run --allow-read docs/examples/speller.ts */
import * as nn from "../../mod.ts";

const text = "the quick brown fox jumps over the lazy dog, and the dog sleeps on. ";
const letters = [...new Set(text)].sort();
const ids = [...text].map((letter) => letters.indexOf(letter));

class Speller extends nn.Module {
  readonly embed = new nn.Embedding(letters.length, 16);
  readonly lstm = new nn.LSTM(16, 96);
  readonly score = new nn.Linear(96, letters.length);

  forward(ids: number[]) {
    const { output } = this.lstm.forward(this.embed.forward(ids).reshape([ids.length, 1, 16]));
    return this.score.forward(output);
  }
}

using gpu = await nn.openGpu();
using model = new Speller().toGpu(gpu, 1);
const optimizer = new nn.Adam(model.store, { lr: 0.01 });
const loss = () => nn.crossEntropy(model.forward(ids.slice(0, -1)), ids.slice(1));
await nn.fit(model, { optimizer, batches: () => Array(120).keys(), loss });
const spelt = [letters.indexOf("t")];
while (spelt.length < text.length) {
  using _tape = new nn.Tape(gpu, { training: false });
  spelt.push((await model.forward(spelt).argmax().read()).at(-1)!);
}
console.log(spelt.map((id) => letters[id]).join(""));
