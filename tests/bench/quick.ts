import { openGpu } from "../../kernels/gpu.ts";
import { RandomStream } from "../../data/rng.ts";
import { Captioner, uploadCaptions } from "../../models/captioner.ts";
import { Adam } from "../../models/optimizers.ts";
import { Tape } from "../../models/autograd.ts";
const gpu = await openGpu();
for (const cell of ["lstm","rnn"] as const) {
  const r = new RandomStream(1);
  using c = new Captioner(gpu, { cell, featureDim: 512, hiddenDim: 512, wordDim: 256, vocabularySize: 1004 }, r);
  using opt = new Adam(c.store, { lr: 1e-3 });
  const caps = Int32Array.from({length: 25*18}, () => 1 + r.integer(1003));
  const feats = Float32Array.from({length: 25*512}, () => r.normal());
  const ts: number[] = []; let l = 0; let d0=0,s0=0;
  for (let i = 0; i < 15; i++) {
    d0 = gpu.recorder.counts.dispatches; s0 = gpu.recorder.counts.submits;
    const t = performance.now();
    using batch = uploadCaptions(gpu, caps, feats, { batch: 25, vocabularySize: 1004 });
    using tape = new Tape(gpu);
    const loss = c.loss(tape, batch); tape.backward(loss); opt.step();
    l = (await loss.tensor.read())[0];
    ts.push(performance.now() - t);
  }
  const x = ts.slice(3).sort((a,b)=>a-b);
  console.log(cell, "median", x[x.length>>1].toFixed(1), "min", x[0].toFixed(1), "loss", l, "dispatches", gpu.recorder.counts.dispatches-d0, "submits", gpu.recorder.counts.submits-s0, "live", gpu.pool.liveBuffers);
}
