/** Saved sentence classifiers: back again, and files that hold something else. */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { readSafetensors, writeSafetensors } from "../../data/formats/safetensors.ts";
import { Vocabulary } from "../../data/text/vocabulary.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { loadClassifier, saveClassifier } from "../../models/sentences/saved_classifier.ts";
import { CLASSIFIER_KINDS } from "../../models/sentences/sentence_classifier.ts";
import { gpuTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import { logitsOf, SENTENCES, SIZES, smallClassifier } from "./small_classifier.ts";
import { UserError } from "../../data/files/user_error.ts";

const VOCABULARY = Vocabulary.fromWords(["a", "good", "bad", "film", "not", "very", "…"]);

/** A GPU test that gets a path for a file; skipped, with the reason, where a permission is missing. */
function fileTest(name: string, fn: (gpu: Gpu, path: string) => Promise<void>): void {
  const write = { name: "write" } as const;
  if (Deno.permissions.querySync(write).state !== "granted") {
    return permissionTest(name, [write], () => {});
  }
  gpuTest(name, async (gpu) => {
    const folder = await Deno.makeTempDir();
    try {
      await fn(gpu, `${folder}/classifier.safetensors`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

for (const kind of CLASSIFIER_KINDS) {
  fileTest(`a saved ${kind} classifier comes back and answers the same`, async (gpu, path) => {
    const dropout = kind === "bow" ? {} : { dropout: 0.25 };
    const config = { ...dropout, sparse: true };
    using classifier = smallClassifier(gpu, kind, config);
    await saveClassifier(path, classifier, VOCABULARY);
    const loaded = await loadClassifier(gpu, path);
    using again = loaded.classifier;
    assertEquals(loaded.vocabulary.words, VOCABULARY.words);
    const { kind: gotKind, wordDim, hiddenDim, vocabularySize, dropout: p } = again.config;
    assertEquals({ wordDim, hiddenDim, vocabularySize }, SIZES);
    assertEquals([gotKind, p], [kind, dropout.dropout ?? 0]);
    assertEquals(await logitsOf(again, SENTENCES), await logitsOf(classifier, SENTENCES));
  });
}

fileTest("sizes that a kind does not read may be anything", async (gpu, path) => {
  const unused = [["bow", { wordDim: 0, hiddenDim: 0 }], ["average", { hiddenDim: 0 }]] as const;
  for (const [kind, sizes] of unused) {
    using classifier = smallClassifier(gpu, kind, sizes);
    await saveClassifier(path, classifier, VOCABULARY);
    using again = (await loadClassifier(gpu, path)).classifier;
    assertEquals(await logitsOf(again, SENTENCES), await logitsOf(classifier, SENTENCES));
  }
});

fileTest("a vocabulary of another size is not saved", async (gpu, path) => {
  using classifier = smallClassifier(gpu, "average");
  const other = Vocabulary.fromWords(["a"]);
  await assertRejects(
    () => saveClassifier(path, classifier, other),
    TypeError,
    "vocabulary of 5 words",
  );
});

gpuTest("a file that is no classifier is refused", async (gpu) => {
  const fixture = (name: string) => fromFileUrl(new URL(`../fixtures/${name}`, import.meta.url));
  const refuse = (name: string, message: string) =>
    assertRejects(() => loadClassifier(gpu, fixture(name)), UserError, message);
  await refuse("safetensors/dtypes.safetensors", "its vocabulary or sizes are missing");
  await refuse(
    "captioner_torch.safetensors",
    "these are not the sizes of a classifier, but of a captioner",
  );
  await refuse("captioner_torch.json", "is not a safetensors file");
});

fileTest("a classifier whose parts do not fit is refused", async (gpu, path) => {
  using classifier = smallClassifier(gpu, "lstm");
  await saveClassifier(path, classifier, VOCABULARY);
  const { tensors, metadata } = await readSafetensors(path);
  const config: Record<string, unknown> = JSON.parse(metadata.config);
  const refuse = async (
    change: { metadata?: Record<string, string>; tensors?: typeof tensors },
    error: new (message: string) => Error,
    message: string,
  ) => {
    await writeSafetensors(path, change.tensors ?? tensors, { ...metadata, ...change.metadata });
    const live = gpu.pool.liveBuffers;
    const thrown = await assertRejects(() => loadClassifier(gpu, path), error, message);
    assert(thrown.constructor === error, `${thrown}`);
    assertEquals(gpu.pool.liveBuffers, live);
  };
  const sizes = (change: Record<string, unknown>) => ({
    metadata: { config: JSON.stringify({ ...config, ...change }) },
  });
  const strange = "these are not the sizes of a classifier";
  await refuse(sizes({ kind: "gru" }), UserError, strange);
  await refuse(sizes({ hiddenDim: 2.5 }), UserError, strange);
  await refuse(sizes({ wordDim: undefined }), UserError, strange);
  await refuse(sizes({ dropout: 1 }), UserError, strange);
  await refuse(sizes({ wordDropout: -1 }), UserError, strange);
  await refuse({ metadata: { config: "null" } }, UserError, "holds no sentence classifier");
  await refuse({ metadata: { config: "{" } }, UserError, "holds no sentence classifier");
  await refuse({ metadata: { vocabulary: "{}" } }, UserError, "is no list of words");
  await refuse({ metadata: { vocabulary: "[]" } }, UserError, "must start with <NULL>");
  await refuse({ metadata: { vocabulary: "" } }, UserError, "vocabulary or sizes are missing");
  const more = sizes({ vocabularySize: 12 });
  await refuse(more, UserError, "there are 11 words, and 12 in the sizes");
  const narrow = "recurrent.weight_ih_l0 is [20, 6], not [32, 6]";
  await refuse(sizes({ hiddenDim: 8 }), UserError, narrow);
  await refuse(sizes({ kind: "rnn" }), UserError, "recurrent.weight_ih_l0 is [20, 6], not [5, 6]");
  await refuse(sizes({ kind: "bilstm" }), UserError, "missing: recurrent.weight_ih_l0_reverse");
  await refuse(sizes({ kind: "average" }), UserError, "unexpected: recurrent.bias_hh_l0");
  // Absurd sizes are compared with the tensors before anything is drawn or allocated.
  const start = performance.now();
  await refuse(sizes({ hiddenDim: 14_000 }), UserError, "not [56000, 6]");
  await refuse(
    sizes({ hiddenDim: 2 ** 50 }),
    UserError,
    `"${path}" cannot be loaded: The state dict`,
  );
  await refuse(sizes({ wordDim: 1e8 }), UserError, "embed.weight is [11, 6], not [11, 100000000]");
  await refuse(sizes({ kind: "bilstm", members: 1e6 }), UserError, "its 1000000 members cannot");
  await refuse(sizes({ vocabularySize: 1e9 }), UserError, "there are 11 words, and 1000000000");
  await refuse(sizes({ hiddenDim: 1e300 }), UserError, strange);
  await refuse(sizes({ dropout: "0" }), UserError, strange);
  const deep = `[${"[".repeat(1e6)}`;
  await refuse({ metadata: { config: deep } }, UserError, "may nest 1 deep");
  await refuse({ metadata: { vocabulary: deep } }, UserError, "may nest 1 deep");
  await refuse({ metadata: { vocabulary: "[1]" } }, UserError, "is no list of words");
  assertLess(performance.now() - start, 5000);
  const without = new Map(tensors);
  without.delete("score.bias");
  await refuse({ tensors: without }, UserError, "missing: score.bias");
});
