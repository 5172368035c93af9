/** A network's parameters and buffers in one safetensors file, under PyTorch's names and in its layout. */
import { readSafetensors, writeSafetensors } from "../../data/formats/safetensors.ts";
import type { Module } from "./module.ts";

/**
 * Save a network, with texts that say what it is. The file is written beside its place and then moved there. Needs
 * `--allow-read --allow-write`.
 */
export async function saveModel(
  path: string,
  model: Module,
  metadata: Record<string, string> = {},
): Promise<void> {
  await writeSafetensors(path, await model.stateDict(), metadata);
}

/**
 * Load what {@linkcode saveModel} wrote, or another safetensors file with PyTorch's names: the texts in it. Best before
 * the network is on a GPU: then no other values are drawn.
 *
 * Errors: SyntaxError for another file, TypeError when the weights do not fit the network, RangeError when they are not
 * finite; nothing is written then.
 */
export async function loadModel(path: string, model: Module): Promise<Record<string, string>> {
  const { tensors, metadata } = await readSafetensors(path);
  model.loadStateDict(tensors);
  return metadata;
}
