/** Captions from a trained captioner: greedy, and by beam search. */
import { END, NULL, START } from "../data/vocabulary.ts";
import { lookUp } from "../kernels/embedding.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { lstmForward } from "../kernels/lstm.ts";
import { matmul } from "../kernels/matmul.ts";
import { rnnForward } from "../kernels/rnn.ts";
import { argmax, logSoftmax } from "../kernels/softmax.ts";
import { Tensor } from "../kernels/tensor.ts";
import type { Captioner } from "./captioner.ts";

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
    using forward = lstmForward({ ...inputs, c0: state.c });
    using last = forward.cells.view(state.h.shape, state.h.size);
    next.h.copyFrom(forward.h);
    next.c = Tensor.empty(gpu, state.h.shape, { name: "cell state" });
    next.c.copyFrom(last);
  } else {
    using forward = rnnForward(inputs);
    next.h.copyFrom(forward.h);
  }
  const scores = matmul(next.h, score.weight.tensor, { bias: score.bias?.tensor, name: "scores" });
  return [next, scores];
}

function upload(gpu: Gpu, ids: ArrayLike<number>, name: string): Tensor<"u32"> {
  return Tensor.from(gpu, ids, [ids.length], { name, dtype: "u32" });
}

function checkLength(length: number): void {
  if (!Number.isInteger(length) || length < 1) {
    throw new RangeError(`A caption's length must be a whole number from 1: it is ${length}`);
  }
}

/**
 * Caption images greedily: always the likeliest next word, until `<END>` or `length` words.
 * All words are chosen on the GPU; it is waited for once.
 *
 * `features [N, F]`; the result holds one list of word indices for each image, without `<START>` and `<END>`.
 */
export async function sampleGreedy(
  captioner: Captioner,
  features: Tensor,
  length: number,
): Promise<number[][]> {
  checkLength(length);
  const { gpu } = captioner;
  const images = features.shape[0];
  using chosen = Tensor.empty(gpu, [length, images], { name: "sampled words", dtype: "u32" });
  let state = initialState(captioner, features);
  let words = upload(gpu, new Uint32Array(images).fill(START), "first words");
  for (let t = 0; t < length; t++) {
    const [next, scores] = step(captioner, state, words);
    disposeState(state);
    words.dispose();
    state = next;
    words = argmax(scores);
    scores.dispose();
    using row = chosen.view([images], t * images);
    row.copyFrom(words);
  }
  disposeState(state);
  words.dispose();
  const ids = await chosen.read();
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
  /** Unfinished captions that are kept for each image. */
  width: number;
  /** Longest caption, in words. */
  length: number;
  /**
   * Captions are compared by log p / words^lengthPower: 0 compares plain probabilities, which favours
   * short ones; 1 compares the mean over the words. 0.7 by default.
   */
  lengthPower?: number;
}

/** A caption on the way. `row` is its row in the state. */
interface Hypothesis {
  words: number[];
  logProbability: number;
  row: number;
}

/**
 * Caption images by beam search: at each step the `width` likeliest continuations of each image live on.
 * The same result form as {@linkcode sampleGreedy}. It waits for the GPU once for each word.
 */
export async function sampleBeam(
  captioner: Captioner,
  features: Tensor,
  { width, length, lengthPower = 0.7 }: BeamOptions,
): Promise<number[][]> {
  checkLength(length);
  const { gpu, config: { vocabularySize } } = captioner;
  if (!Number.isInteger(width) || width < 1 || width > vocabularySize - 2) {
    throw new RangeError(
      `A beam's width must be a whole number from 1 to ${vocabularySize - 2}: it is ${width}`,
    );
  }
  const images = features.shape[0];
  const value = (h: Hypothesis) => h.logProbability / Math.max(1, h.words.length) ** lengthPower;
  const beams = Array.from({ length: images }, (_, row): Hypothesis[] => [
    { words: [], logProbability: 0, row },
  ]);
  const best: (Hypothesis | undefined)[] = beams.map(() => undefined);
  let state = initialState(captioner, features);
  let words = upload(gpu, new Uint32Array(images).fill(START), "first words");
  for (let t = 0; t < length; t++) {
    const [next, scores] = step(captioner, state, words);
    disposeState(state);
    words.dispose();
    const logs = logSoftmax(scores);
    scores.dispose();
    const table = await logs.read();
    logs.dispose();
    const lastWords: number[] = [];
    const rows: number[] = [];
    beams.forEach((beam, image) => {
      const continued = extend(beam, table, vocabularySize, width);
      beams[image] = [];
      for (const candidate of continued) {
        const last = candidate.words.at(-1)!;
        if (last === END) {
          candidate.words.pop();
          if (better(candidate, best[image], value)) best[image] = candidate;
        } else if (beams[image].length < width) {
          lastWords.push(last);
          rows.push(candidate.row);
          beams[image].push({ ...candidate, row: rows.length - 1 });
        }
      }
    });
    // The live hypotheses take the states of the rows they came from.
    words = upload(gpu, lastWords, "beam words");
    using from = upload(gpu, rows, "beam rows");
    state = {
      h: lookUp(next.h, from),
      c: next.c === undefined ? undefined : lookUp(next.c, from),
    };
    disposeState(next);
  }
  disposeState(state);
  words.dispose();
  return beams.map((beam, image) => {
    const finished = best[image];
    if (finished !== undefined) return finished.words;
    return beam.reduce((a, b) => value(a) >= value(b) ? a : b).words;
  });
}

function better(
  candidate: Hypothesis,
  best: Hypothesis | undefined,
  value: (h: Hypothesis) => number,
): boolean {
  return best === undefined || value(candidate) > value(best);
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
