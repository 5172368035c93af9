/** The stored runs of tests/fixtures/captioner_torch.py, as the tests use them. */
import { fromFileUrl } from "@std/path";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import type { CaptionerConfig, CellType } from "./small_captioner.ts";
import fixture from "../fixtures/captioner_torch.json" with { type: "json" };

/** A state dict, or gradients, as the fixture holds them: the numbers are one string. */
type StoredTensors = Record<string, { shape: number[]; data: string } | undefined>;

/** Numbers written one after another with spaces between them. */
export function numbers(text: string): Float32Array<ArrayBuffer> {
  return Float32Array.from(text.split(" "), Number);
}

function tensors(stored: StoredTensors): Map<string, TensorData> {
  return new Map(
    Object.entries(stored).map(([key, tensor]): [string, TensorData] => {
      const { shape, data } = tensor!;
      return [key, { dtype: "F32", shape, data: numbers(data) }];
    }),
  );
}

/** Ten training steps in PyTorch. */
export interface TorchRun {
  name: string;
  config: CaptionerConfig;
  optimizer: string;
  options: { lr: number; momentum?: number; alpha?: number; weight_decay?: number };
  clip: number | undefined;
  features: Float32Array<ArrayBuffer>;
  initial: Map<string, TensorData>;
  losses: number[];
  /** Those of the first step. */
  gradients: Map<string, TensorData>;
  final: Map<string, TensorData>;
}

const { batch, ...dims } = fixture.sizes;

/** The batch of every run, `[N, L]`, and its size N. */
export const CAPTIONS = fixture.captions.flat();
export const BATCH = batch;

/** All runs. */
export const RUNS: TorchRun[] = fixture.runs.map((run): TorchRun => ({
  name: `${run.cell} of ${run.hidden} units with ${run.optimizer}`,
  config: { cell: run.cell as CellType, hiddenDim: run.hidden, ...dims },
  optimizer: run.optimizer,
  options: run.options,
  clip: run.clip ?? undefined,
  features: numbers(run.features),
  initial: tensors(run.initial),
  losses: run.losses,
  gradients: tensors(run.gradients),
  final: tensors(run.final),
}));

/** What PyTorch says of captioner_torch.safetensors. */
export const FILE = {
  path: fromFileUrl(new URL("../fixtures/captioner_torch.safetensors", import.meta.url)),
  features: numbers(fixture.file.features),
  mean: Float32Array.from(fixture.file.mean),
  deviation: Float32Array.from(fixture.file.deviation),
  vocabulary: fixture.file.vocabulary,
  scores: numbers(fixture.file.scores),
};
