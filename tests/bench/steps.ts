/** Steps of models and kernels at any size, to be timed. */
import { RandomStream } from "../../data/rng.ts";
import { conv2d, conv2dBackward } from "../../kernels/conv2d/conv2d.ts";
import { matmul } from "../../kernels/gemm/matmul.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape } from "../../models/tape/autograd.ts";
import { Captioner, uploadCaptions } from "../../models/captions/captioner.ts";
import { crossEntropy } from "../../models/tape/cross_entropy.ts";
import type { CellType } from "../../models/layers/layers.ts";
import { LossHistory } from "../../models/training/loss_history.ts";
import { Adam, type Optimizer, Sgd } from "../../models/training/optimizers.ts";
import { type BackboneName, makeBackbone } from "../../models/pictures/pretrained.ts";
import type { Learned } from "../../models/pictures/vision_model.ts";
import type {
  ClassifierKind,
  SentenceClassifier,
} from "../../models/sentences/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentences/sentence_classifiers.ts";
import { type LabeledSentences, sentenceLoss } from "../../models/sentences/sentence_training.ts";

/** Something that can be done again and again. */
export interface Steps extends Disposable {
  /** Do it so often, and wait for the end. */
  run(times: number): Promise<void>;
}

/** Milliseconds of one of so many runs. */
export async function millisecondsOf(steps: Steps, runs: number): Promise<number> {
  const start = performance.now();
  await steps.run(runs);
  return (performance.now() - start) / runs;
}

function of(run: Steps["run"], parts: readonly { dispose(): void }[]): Steps {
  return {
    run,
    [Symbol.dispose]() {
      for (const part of parts) part.dispose();
    },
  };
}

function normals(stream: RandomStream, count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, () => stream.normal());
}

/** Sizes of a captioner's training step: N, T, V, H. */
export interface CaptionerSizes {
  batch: number;
  steps: number;
  vocabulary: number;
  hidden: number;
}

/** Training steps of a captioner, with Adam; words are as wide as half the cell, features as the cell. */
export function captionerSteps(gpu: Gpu, cell: CellType, sizes: CaptionerSizes): Steps {
  const { batch, steps, vocabulary, hidden } = sizes;
  const stream = new RandomStream(1);
  const config = {
    ...{ cell, featureDim: hidden, hiddenDim: hidden, wordDim: hidden / 2 },
    vocabularySize: vocabulary,
  };
  const captioner = new Captioner(gpu, config, stream);
  const optimizer = new Adam(captioner.store, { lr: 1e-3 });
  // One token more than is read: each is predicted from the one before.
  const captions = Int32Array.from(
    { length: batch * (steps + 1) },
    () => 1 + stream.integer(vocabulary - 1),
  );
  const features = normals(stream, batch * hidden);
  return of(async (times) => {
    using history = new LossHistory(gpu, times);
    for (let i = 0; i < times; i++) {
      using input = uploadCaptions(gpu, captions, features, { batch, vocabularySize: vocabulary });
      using tape = new Tape(gpu);
      const loss = captioner.loss(input);
      tape.backward(loss);
      optimizer.step();
      await history.add(loss.tensor);
    }
    await history.finish();
  }, [optimizer, captioner]);
}

/** One step of training over all of the sentences, whose loss is noted. */
export async function sentenceStep(
  { classifier, optimizer, history }: {
    classifier: SentenceClassifier;
    optimizer: Optimizer;
    history: LossHistory;
  },
  data: LabeledSentences,
): Promise<void> {
  using tape = new Tape(classifier.gpu);
  const loss = sentenceLoss(classifier, data, data.sentences.keys().toArray(), tape);
  loss.backward();
  optimizer.step();
  await history.add(loss.tensor);
}

/** Training steps of a sentence classifier, with Adam: N sentences of T words from V; words as wide as the cell. */
export function sentenceSteps(
  gpu: Gpu,
  kind: ClassifierKind,
  { batch, steps, vocabulary, hidden }: CaptionerSizes,
): Steps {
  const stream = new RandomStream(1);
  const config = { kind, vocabularySize: vocabulary, wordDim: hidden, hiddenDim: hidden };
  const classifier = makeClassifier(gpu, config, stream);
  const optimizer = new Adam(classifier.store, { lr: 1e-3 });
  const sentences = Array.from(
    { length: batch },
    () => Array.from({ length: steps }, () => stream.integer(vocabulary)),
  );
  const labels = Float32Array.from({ length: batch }, (_, i) => i % 2);
  return of(async (times) => {
    using history = new LossHistory(gpu, times);
    for (let i = 0; i < times; i++) {
      await sentenceStep({ classifier, optimizer, history }, { sentences, labels });
    }
    await history.finish();
  }, [optimizer, classifier]);
}

/** Sizes of a training step over pictures, which layers learn, and how fast. */
export interface PictureSizes {
  batch: number;
  side: number;
  learned?: Learned;
  lr?: number;
}

/** Training steps of a network for pictures `[batch, side, side, 3]` of two classes, with SGD. */
export function pictureSteps(
  gpu: Gpu,
  backbone: BackboneName,
  { batch, side, learned = "all", lr = 1e-4 }: PictureSizes,
): Steps {
  const stream = new RandomStream(1);
  const shape = [batch, side, side, 3];
  const pixels = normals(stream, batch * side * side * 3);
  const labels = Uint32Array.from({ length: batch }, (_, i) => i % 2);
  const model = makeBackbone(backbone, 2).learn(learned).toGpu(gpu);
  const optimizer = new Sgd(model.store, { lr, momentum: 0.9 });
  return of(async (times) => {
    using history = new LossHistory(gpu, times);
    for (let i = 0; i < times; i++) {
      using x = Tensor.from(gpu, pixels, shape);
      using targets = Tensor.from(gpu, labels, [batch], { dtype: "u32" });
      using tape = new Tape(gpu);
      const loss = crossEntropy(model.forward(constant(x)), targets);
      tape.backward(loss);
      optimizer.step();
      await history.add(loss.tensor);
    }
    await history.finish();
  }, [optimizer, model]);
}

/** A matrix product `[m, k] · [k, n]`, of which a factor may be stored transposed (T). */
export function products(
  gpu: Gpu,
  kind: "NN" | "NT" | "TN",
  { m, k, n }: { m: number; k: number; n: number },
): Steps {
  const stream = new RandomStream(1);
  const [transA, transB] = [kind === "TN", kind === "NT"];
  const a = Tensor.from(gpu, normals(stream, m * k), transA ? [k, m] : [m, k]);
  const b = Tensor.from(gpu, normals(stream, k * n), transB ? [n, k] : [k, n]);
  const out = Tensor.empty(gpu, [m, n]);
  const corner = out.view([1]);
  return of(async (times) => {
    for (let i = 0; i < times; i++) matmul(a, b, { transA, transB, out });
    await corner.read();
  }, [corner, out, a, b]);
}

/** Sizes of a convolution, whose padding keeps the picture's size. */
export interface ConvolutionSizes {
  batch: number;
  side: number;
  channels: number;
  filters: number;
  window: number;
}

/** A convolution and all of its gradients. */
export function convolutions(gpu: Gpu, sizes: ConvolutionSizes): Steps {
  const { batch, side, channels, filters, window } = sizes;
  const stream = new RandomStream(1);
  const tensor = (shape: number[]) =>
    Tensor.from(gpu, normals(stream, shape.reduce((a, b) => a * b)), shape);
  const x = tensor([batch, side, side, channels]);
  const w = tensor([window, window, channels, filters]);
  const dy = tensor([batch, side, side, filters]);
  const last = Tensor.empty(gpu, [1]);
  const options = { padding: (window - 1) / 2 };
  return of(async (times) => {
    for (let i = 0; i < times; i++) {
      using _y = conv2d(x, w, options);
      const { dx, dw, db } = conv2dBackward(dy, x, w, options);
      if (i === times - 1) {
        using corner = db.view([1]);
        last.copyFrom(corner);
      }
      for (const gradient of [dx, dw, db]) gradient.dispose();
    }
    await last.read();
  }, [x, w, dy, last]);
}
