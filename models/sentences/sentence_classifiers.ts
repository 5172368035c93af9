/** All sentence classifiers by their kind. */
import type { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { AveragedEmbedding, BagOfWords } from "./bag_classifiers.ts";
import { BidirectionalClassifier, RecurrentClassifier } from "./recurrent_classifiers.ts";
import type {
  ClassifierConfig,
  ClassifierInit,
  SentenceClassifier,
} from "./sentence_classifier.ts";

/**
 * Make a classifier of any kind. `init.table` gives the first word vectors, of which `bow` has none, and
 * `init.weights` all first values.
 *
 * Errors: TypeError when the table's size or the weights do not fit or the table is given to `bow`, RangeError for a dropout out
 * of range.
 *
 * ```ts
 * import { RandomStream } from "../../data/rng.ts";
 * import { openGpu } from "../../kernels/runtime/gpu.ts";
 * import { Tape } from "../tape/autograd.ts";
 *
 * using gpu = await openGpu();
 * const config = { kind: "lstm", vocabularySize: 10, wordDim: 4, hiddenDim: 8 } as const;
 * using classifier = makeClassifier(gpu, config, new RandomStream(1));
 * using input = classifier.upload([[4, 5, 6], [7]]); // two sentences as word ids
 * using tape = new Tape(gpu, { training: false });
 * console.log(await classifier.logits(input).tensor.read()); // two log-odds
 * ```
 */
export function makeClassifier(
  gpu: Gpu,
  config: ClassifierConfig,
  stream: RandomStream,
  init: ClassifierInit = {},
): SentenceClassifier {
  const { kind, vocabularySize, wordDim } = config;
  const { table } = init;
  if (table !== undefined && kind === "bow") {
    throw new TypeError("A bag of words has no word vectors, and a table of them was given");
  }
  if (table !== undefined && table.length !== vocabularySize * wordDim) {
    throw new TypeError(
      `A table of ${table.length} numbers is not ${vocabularySize} word vectors of ${wordDim}`,
    );
  }
  const { wordDropout = 0, dropout = 0, members = 1 } = config;
  if (wordDropout !== 0 && (kind === "bow" || kind === "average")) {
    throw new TypeError(`The kind "${kind}" has no place for a wordDropout of ${wordDropout}`);
  }
  if (members !== 1 && kind !== "bilstm") {
    throw new TypeError(`The kind "${kind}" has one member, and ${members} were asked for`);
  }
  if (dropout !== 0 && kind === "bow") {
    throw new TypeError(`A bag of words has no place for a dropout of ${dropout}`);
  }
  switch (kind) {
    case "bow":
      return new BagOfWords(gpu, config, stream, init);
    case "average":
      return new AveragedEmbedding(gpu, config, stream, init);
    case "rnn":
    case "lstm":
      return new RecurrentClassifier(gpu, { ...config, kind }, stream, init);
    case "bilstm":
      return new BidirectionalClassifier(gpu, config, stream, init);
  }
}
