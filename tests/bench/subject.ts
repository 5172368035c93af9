/** A subject of the benchmark. */
import type { Peer } from "./peer.ts";

/** What is timed: ours gives milliseconds a run, the peer is asked by name. */
export interface Subject {
  name: string;
  peerName: string;
  /** Runs of a turn. */
  runs: number;
  /** Runs that compile every kernel it needs; 2 by default. */
  warmUp?: number;
  /** Floating-point operations of a run, for GFLOP/s. */
  flops?: number;
  /** Turns, where they are so long that fewer must do. */
  rounds?: number;
  /** Milliseconds of a run, averaged over a turn that ends with a read. */
  ours: (runs: number) => Promise<number>;
  /** Gives the peer what it needs, once. */
  prepare?: (peer: Peer) => Promise<void>;
  note?: string;
}
