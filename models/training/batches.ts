/** The batches of an epoch, by the numbers of what is learned from. */
import type { RandomStream } from "../../data/rng.ts";

/** Options of {@linkcode shuffledBatches}. */
export interface BatchOptions {
  /** Of one step. */
  batchSize: number;
  /** Orders this epoch. */
  stream: RandomStream;
  /** How long each one is, where batches are to be of nearly equal length. */
  lengths?: ArrayLike<number>;
  /** Sorted by length within so many batches; 1, and nothing is sorted, by default. Infinity: within all. */
  sortWithin?: number;
  /** A batch has fewer where the longest times their count comes to more than this. */
  most?: number;
}

/** A RangeError where it is no whole number from 1. */
export function checkBatchSize(batchSize: number): void {
  if (Number.isInteger(batchSize) && batchSize >= 1) return;
  throw new RangeError(`The batch size must be a whole number from 1: it is ${batchSize}`);
}

/** Cut an order: `batchSize` at most, and no more than `most` when all are padded to the longest. */
export function cutBatches<A extends ArrayLike<number> & { slice(start: number, end: number): A }>(
  order: A,
  batchSize: number,
  lengths?: ArrayLike<number>,
  most = Infinity,
): A[] {
  checkBatchSize(batchSize);
  const parts: A[] = [];
  for (let start = 0, end = 0; start < order.length; start = end) {
    end = start + 1;
    let longest = lengths?.[order[start]] ?? 1;
    for (; end < order.length && end - start < batchSize; end++) {
      longest = Math.max(longest, lengths?.[order[end]] ?? 1);
      if ((end + 1 - start) * longest > most) break;
    }
    parts.push(order.slice(start, end));
  }
  return parts;
}

/**
 * The numbers from 0 to `count - 1` in batches, in a random order. With lengths, those within some batches are sorted
 * by them, cut, and these batches come in a random order: little work goes to padding.
 *
 * Errors: RangeError when `batchSize` or `sortWithin` is no whole number from 1.
 */
export function shuffledBatches(count: number, options: BatchOptions): Int32Array[] {
  const { batchSize, stream, lengths, sortWithin = 1, most } = options;
  checkBatchSize(batchSize);
  if (!(Number.isInteger(sortWithin) || sortWithin === Infinity) || sortWithin < 1) {
    throw new RangeError(
      `Batches are sorted within so many, a whole number from 1: not within ${sortWithin}`,
    );
  }
  const order = stream.permutation(count);
  if (sortWithin === 1 || lengths === undefined) return cutBatches(order, batchSize, lengths, most);
  const batches: Int32Array[] = [];
  const together = Math.min(sortWithin * batchSize, Math.max(1, count));
  for (let start = 0; start < count; start += together) {
    // A typed array's sort is stable: equal ones stay in their random order.
    const some = order.subarray(start, start + together)
      .sort((a, b) => lengths[a] - lengths[b]);
    batches.push(...stream.shuffle(cutBatches(some, batchSize, lengths, most)));
  }
  return batches;
}
