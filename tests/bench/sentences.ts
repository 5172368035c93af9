/** The sentence classifiers as subjects of the benchmark: an epoch in batches of one length each. */
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { LossHistory } from "../../models/training/loss_history.ts";
import { Adam } from "../../models/training/optimizers.ts";
import type { ClassifierKind } from "../../models/sentences/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentences/sentence_classifiers.ts";
import type { Peer } from "./peer.ts";
import { sentenceStep } from "./steps.ts";
import type { Subject } from "./subject.ts";

const [SENTENCES, BATCH] = [40_000, 100];
const SIZES = { vocabularySize: 7643, hiddenDim: 100 };

/** A classifier and the way in which the peer computes the same. */
interface Variant {
  kind: ClassifierKind;
  /** Of the word vectors; the peer's own where ours are widened to a multiple of four. */
  width?: number;
  sparse?: boolean;
  /** The peer's module, where it has several. */
  way?: "linear" | "bag";
}

const VARIANTS: Variant[] = [
  { kind: "bow", way: "linear" },
  { kind: "bow", way: "bag" },
  { kind: "average", width: 100 },
  { kind: "average", width: 100, sparse: true },
  { kind: "rnn", width: 100 },
  { kind: "lstm", width: 100 },
  { kind: "lstm", width: 50 },
];

/** Batches of 5 to 15 words, as the reviews of problem 6 have them; frequent words are frequent. */
function makeBatches(): number[][][] {
  const stream = new RandomStream(1);
  const word = () => Math.floor(SIZES.vocabularySize ** stream.uniform());
  return Array.from({ length: SENTENCES / BATCH }, (_, i) => {
    const length = 5 + i % 11;
    return Array.from({ length: BATCH }, () => Array.from({ length }, word));
  });
}

function subject(gpu: Gpu, variant: Variant, batches: number[][][]): Subject {
  const { kind, width = 1, sparse = false, way = "" } = variant;
  const wordDim = kind === "bow" ? 1 : 4 * Math.ceil(width / 4);
  const config = { kind, ...SIZES, wordDim, sparse };
  const classifier = makeClassifier(gpu, config, new RandomStream(1));
  const optimizer = new Adam(classifier.store, { lr: 1e-3 });
  const labels = Float32Array.from({ length: BATCH }, (_, i) => i % 2);
  const { counts } = gpu.recorder;
  let turn = 0;
  const subject: Subject = {
    name: [
      `sentence step ${kind}`,
      kind === "bow"
        ? `against PyTorch's ${way === "bag" ? "EmbeddingBag" : "Linear"}`
        : `width ${width}`,
      ...(sparse ? ["sparse Adam"] : []),
    ].join(", "),
    peerName: ["sentences", kind, width, sparse ? "sparse" : "dense", way].join("-"),
    runs: batches.length,
    ...(kind === "rnn" || kind === "lstm" ? { rounds: 3 } : {}), // theirs are long
    warmUp: 22, // each length once or twice
    async ours(runs) {
      using history = new LossHistory(gpu, 20);
      const before = { ...counts };
      const start = performance.now();
      for (let i = 0; i < runs; i++) {
        const sentences = batches[turn++ % batches.length];
        await sentenceStep({ classifier, optimizer, history }, { sentences, labels });
      }
      await history.finish();
      const ms = (performance.now() - start) / runs;
      const dispatches = ((counts.dispatches - before.dispatches) / runs).toFixed(1);
      subject.note = `an epoch ${
        (ms * batches.length / 1000).toFixed(2)
      } s, ${dispatches} dispatches a step`;
      return ms;
    },
    prepare: (peer: Peer) =>
      peer.send("sentences", {
        vocabulary: SIZES.vocabularySize,
        hidden: SIZES.hiddenDim,
        batches,
      }),
  };
  return subject;
}

/** All of them, on the same batches. */
export function sentenceSubjects(gpu: Gpu): Subject[] {
  const batches = makeBatches();
  return VARIANTS.map((variant) => subject(gpu, variant, batches));
}
