/** A variational autoencoder of bars on a grid. Run: deno run --allow-read docs/examples/vae.ts */
import * as nn from "../../mod.ts";

const random = new nn.RandomStream(1);
function bar(): number[] { // a row or a column of 4 x 4 pixels
  const [at, across] = [random.integer(4), random.integer(2)];
  return Array.from({ length: 16 }, (_, i) => Number((across ? i >> 2 : i % 4) === at));
}
class Vae extends nn.Module {
  readonly encode = new nn.Sequential(new nn.Linear(16, 64), (x) => x.relu(), new nn.Linear(64, 4));
  readonly decode = new nn.Sequential(new nn.Linear(2, 64), (z) => z.relu(), new nn.Linear(64, 16));

  loss(x: nn.Tensor, noise: nn.Tensor) {
    const code = this.encode.forward(x);
    const [mean, log] = [code.slice(1, { end: 2 }), code.slice(1, { start: 2 })]; // of the variance
    const seen = this.decode.forward(mean.add(log.mul(0.5).exp().mul(noise)));
    const missed = nn.binaryCrossEntropy(seen.reshape([-1]), x.view([x.size])).mul(16);
    return missed.add(mean.square().add(log.exp()).sub(log).sub(1).sum(1).mean().mul(0.5));
  }
}
using gpu = await nn.openGpu();
using model = new Vae().toGpu(gpu, 1);
const optimizer = new nn.Adam(model.store, { lr: 0.01 });
const loss = (_: number, { tape }: nn.Step) => {
  const x = nn.Tensor.from(gpu, Array.from({ length: 64 }, bar).flat(), [64, 16]);
  const noise = nn.Tensor.from(gpu, Array.from({ length: 128 }, () => random.normal()), [64, 2]);
  return model.loss(tape.keep(x), tape.keep(noise));
};
const { losses } = await nn.fit(model, { optimizer, batches: () => Array(400).keys(), loss });
console.log(`${losses[0].toFixed(2)} at first, ${losses.at(-1)!.toFixed(2)} at last`);
