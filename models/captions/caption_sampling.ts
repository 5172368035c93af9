/** Captions from a trained captioner: greedy, and by beam search. */
import { END, NULL, START } from "../../data/text/vocabulary.ts";
import { lookUp } from "../../kernels/embedding/embedding.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { lstmTimeMajorForward } from "../../kernels/recurrent/lstm.ts";
import { matmul } from "../../kernels/gemm/matmul.ts";
import { rnnTimeMajorForward } from "../../kernels/recurrent/rnn.ts";
import { sum } from "../../kernels/reduce/reduce.ts";
import { argmax, logSoftmax } from "../../kernels/softmax/softmax.ts";
import { expectShape, Tensor } from "../../kernels/runtime/tensor.ts";
import type { Captioner } from "./captioner.ts";
import { UserError } from "../../data/files/user_error.ts";

/** The state of a cell between two words: `h [R, H]`, and for an LSTM `c [R, H]`. */
interface State {
  h: Tensor;
  c: Tensor | undefined;
}

function disposeState({ h, c }: State): void {
  h.dispose();
  c?.dispose();
}

/** The hidden states that the features `[N, F]` start with. */
function initialState(captioner: Captioner, features: Tensor): State {
  const { weight, bias } = captioner.project;
  const h = matmul(features, weight.tensor, { bias: bias?.tensor, name: "initial state" });
  const c = captioner.config.cell === "lstm" ? Tensor.zeros(captioner.gpu, h.shape) : undefined;
  return { h, c };
}

/** Read one word in each row: the state after it, and the scores of the next word `[R, V]`. */
function step(captioner: Captioner, state: State, words: Tensor<"u32">): [State, Tensor] {
  const { gpu, config, embed, recurrent, score } = captioner;
  const rows = words.shape[0];
  using vectors = lookUp(embed.weight.tensor, words);
  using x = vectors.view([1, rows, config.wordDim]);
  const inputs = {
    x,
    h0: state.h,
    wx: recurrent.wx.tensor,
    wh: recurrent.wh.tensor,
    b: recurrent.b.tensor,
  };
  const next: State = { h: Tensor.empty(gpu, state.h.shape, { name: "state" }), c: undefined };
  if (config.cell === "lstm") {
    using forward = lstmTimeMajorForward({ ...inputs, c0: state.c });
    using last = forward.cells.view(state.h.shape, state.h.size);
    next.h.copyFrom(forward.h);
    next.c = Tensor.empty(gpu, state.h.shape, { name: "cell state" });
    next.c.copyFrom(last);
  } else {
    using forward = rnnTimeMajorForward(inputs);
    next.h.copyFrom(forward.h);
  }
  const scores = matmul(next.h, score.weight.tensor, { bias: score.bias?.tensor, name: "scores" });
  return [next, scores];
}

function upload(gpu: Gpu, ids: ArrayLike<number>, name: string): Tensor<"u32"> {
  return Tensor.from(gpu, ids, [ids.length], { name, dtype: "u32" });
}

function checkInputs(captioner: Captioner, features: Tensor, length: number): void {
  expectShape(features, [null, captioner.config.featureDim], "The images' features [N, F]");
  if (!Number.isInteger(length) || length < 1) {
    throw new RangeError(`A caption's length must be a whole number from 1: it is ${length}`);
  }
}

/** UserError where scores are not numbers: no word is the likeliest of them. */
function checkScores(sum: number): void {
  if (Number.isFinite(sum)) return;
  throw new UserError(
    "The scores of the words are not finite: look for NaN and huge numbers in the captioner's weights and the " +
      "images' features",
  );
}

/**
 * Caption images greedily: always the likeliest next word, until `<END>` or `length` words.
 * All words are chosen on the GPU; it is waited for once.
 *
 * `features [N, F]`; the result holds one list of word indices for each image, without `<START>` and `<END>`.
 *
 * Errors: RangeError for a length below 1; UserError for weights or features that lead to scores that are not finite.
 */
export async function sampleGreedy(
  captioner: Captioner,
  features: Tensor,
  length: number,
): Promise<number[][]> {
  checkInputs(captioner, features, length);
  const { gpu } = captioner;
  const images = features.shape[0];
  if (images === 0) return [];
  using chosen = Tensor.empty(gpu, [length, images], { name: "sampled words", dtype: "u32" });
  let state = initialState(captioner, features);
  let words = upload(gpu, new Uint32Array(images).fill(START), "first words");
  using total = Tensor.empty(gpu, [], { name: "sum of the last scores" });
  for (let t = 0; t < length; t++) {
    const [next, scores] = step(captioner, state, words);
    disposeState(state);
    words.dispose();
    state = next;
    words = argmax(scores);
    if (t === length - 1) sum(scores, { out: total }); // a state that is NaN once stays so
    scores.dispose();
    using row = chosen.view([images], t * images);
    row.copyFrom(words);
  }
  disposeState(state);
  words.dispose();
  const [ids, [last]] = await Promise.all([chosen.read(), total.read()]);
  checkScores(last);
  return Array.from({ length: images }, (_, n) => {
    const caption: number[] = [];
    for (let t = 0; t < length && ids[t * images + n] !== END; t++) {
      caption.push(ids[t * images + n]);
    }
    return caption;
  });
}

/** Options of {@linkcode sampleBeam}. */
export interface BeamOptions {
  /** Unfinished captions that are kept for each image; the search of an image ends when as many are finished. */
  width: number;
  /** Longest caption, in words. */
  length: number;
  /**
   * Finished captions are compared by log p / words^lengthPower: 0 compares plain probabilities, which
   * favors short ones; 1 compares the mean over the words. 0.7 by default.
   */
  lengthPower?: number;
}

/** A caption on the way. `row` is its row in the state. */
interface Hypothesis {
  words: number[];
  logProbability: number;
  row: number;
}

/** The search for one image's caption. */
interface Search {
  live: Hypothesis[];
  finished: Hypothesis[];
}

/**
 * Caption images by beam search: at each step the `width` likeliest continuations of each image live on.
 * A caption is finished when its `<END>` is among them, and an image's search ends with `width` finished
 * captions; so a beam of width 1 is greedy, except that it never says `<NULL>` or `<START>`.
 * The same result form as {@linkcode sampleGreedy}. It waits for the GPU once for each word.
 */
export async function sampleBeam(
  captioner: Captioner,
  features: Tensor,
  { width, length, lengthPower = 0.7 }: BeamOptions,
): Promise<number[][]> {
  checkInputs(captioner, features, length);
  const { gpu, config: { vocabularySize } } = captioner;
  if (!Number.isInteger(width) || width < 1) {
    throw new RangeError(`A beam's width must be a whole number from 1: it is ${width}`);
  }
  if (!(lengthPower >= 0 && lengthPower < Infinity)) {
    throw new RangeError(`A beam's lengthPower must be a number from 0: it is ${lengthPower}`);
  }
  const images = features.shape[0];
  if (images === 0) return [];
  const searches = Array.from({ length: images }, (_, row): Search => ({
    live: [{ words: [], logProbability: 0, row }],
    finished: [],
  }));
  let state = initialState(captioner, features);
  let words = upload(gpu, new Uint32Array(images).fill(START), "first words");
  for (let t = 0; t < length && words.size > 0; t++) {
    const [next, scores] = step(captioner, state, words);
    disposeState(state);
    words.dispose();
    const logs = logSoftmax(scores);
    scores.dispose();
    const table = await logs.read();
    logs.dispose();
    if (table.some(Number.isNaN)) {
      for (const tensor of [next.h, next.c]) tensor?.dispose();
      checkScores(NaN);
    }
    for (const search of searches) advance(search, table, vocabularySize, width);
    // The live hypotheses take the states of the rows they came from.
    const live = searches.flatMap((search) => search.live);
    words = upload(gpu, live.map((h) => h.words.at(-1)!), "beam words");
    using from = upload(gpu, live.map((h) => h.row), "beam rows");
    live.forEach((h, row) => h.row = row);
    state = {
      h: lookUp(next.h, from),
      c: next.c === undefined ? undefined : lookUp(next.c, from),
    };
    disposeState(next);
  }
  disposeState(state);
  words.dispose();
  const value = (h: Hypothesis) => h.logProbability / Math.max(1, h.words.length) ** lengthPower;
  return searches.map(({ live, finished }) =>
    (finished.length > 0 ? finished : live).reduce((a, b) => value(a) >= value(b) ? a : b).words
  );
}

/** One word more in the search of an image. */
function advance(
  search: Search,
  table: Float32Array,
  vocabularySize: number,
  width: number,
): void {
  const candidates = extend(search.live, table, vocabularySize, width);
  search.live = [];
  candidates.forEach((candidate, rank) => {
    if (candidate.words.at(-1) !== END) {
      if (search.live.length < width) search.live.push(candidate);
    } else if (rank < width) {
      candidate.words.pop();
      search.finished.push(candidate);
    }
  });
  if (search.finished.length >= width) search.live = [];
}

/**
 * The `2 · width` likeliest continuations of an image's hypotheses, the likeliest first: so many that
 * `width` are left when every hypothesis also ends.
 */
function extend(
  beam: Hypothesis[],
  table: Float32Array,
  vocabularySize: number,
  width: number,
): Hypothesis[] {
  const candidates: { from: Hypothesis; word: number; logProbability: number }[] = [];
  for (const from of beam) {
    const row = table.subarray(from.row * vocabularySize, (from.row + 1) * vocabularySize);
    for (let word = 0; word < vocabularySize; word++) {
      if (word === NULL || word === START) continue; // never said, only padding
      candidates.push({ from, word, logProbability: from.logProbability + row[word] });
    }
  }
  candidates.sort((a, b) => b.logProbability - a.logProbability || a.word - b.word);
  return candidates.slice(0, 2 * width).map(({ from, word, logProbability }) => ({
    words: [...from.words, word],
    logProbability,
    row: from.row,
  }));
}
