/** Saved captioners: back again, and to and from PyTorch. */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import type { Standardizer } from "../../data/sets/captions.ts";
import { readSafetensors, writeSafetensors } from "../../data/formats/safetensors.ts";
import { Vocabulary } from "../../data/text/vocabulary.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/tape/autograd.ts";
import { sampleGreedy } from "../../models/captions/caption_sampling.ts";
import { type Captioner, uploadCaptions } from "../../models/captions/captioner.ts";
import { loadCaptioner, saveCaptioner } from "../../models/captions/saved_captioner.ts";
import { gpuTest } from "../gpu_support.ts";
import { permissionTest, relativeError } from "../support.ts";
import { CAPTIONS, FEATURES, SIZES, smallCaptioner } from "./small_captioner.ts";
import * as torch from "./torch_captioner.ts";
import { UserError } from "../../data/files/user_error.ts";

const PYTHON = "/usr/bin/python3";
const SCRIPT = fromFileUrl(new URL("../fixtures/captioner_torch.py", import.meta.url));

/** A GPU test that gets a path for a file; skipped, with the reason, where a permission is missing. */
function fileTest(
  name: string,
  permissions: Deno.PermissionDescriptor[],
  fn: (gpu: Gpu, path: string) => Promise<void>,
): void {
  const all: Deno.PermissionDescriptor[] = [{ name: "write" }, ...permissions];
  const missing = all.some((p) => Deno.permissions.querySync(p).state !== "granted");
  if (missing) return permissionTest(name, all, () => {});
  gpuTest(name, async (gpu) => {
    const folder = await Deno.makeTempDir();
    try {
      await fn(gpu, `${folder}/captioner.safetensors`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

const VOCABULARY = Vocabulary.fromWords(["a", "red", "blue", "star", "on", "the", "left"]);
const SCALE: Standardizer = {
  mean: Float32Array.of(0.5, -1, 0, 2, 3.5),
  deviation: Float32Array.of(1, 2, 0.25, 1, 4),
};
const SETTING = { vocabulary: VOCABULARY, scale: SCALE, captionLength: 6 };

/** The scores `[N, T, V]` after each word of captions `[N, T + 1]`. */
async function scoresOf(captioner: Captioner, captions: number[], features: Float32Array) {
  const { gpu, config: { vocabularySize } } = captioner;
  using batch = uploadCaptions(gpu, captions, features, { batch: 3, vocabularySize });
  using _tape = new Tape(gpu, { training: false });
  const { tensor } = captioner.scores(batch);
  const [steps] = tensor.shape;
  const values = await tensor.read();
  return Float32Array.from(values, (_, i) => {
    const [n, t, v] = [
      Math.floor(i / (steps * vocabularySize)),
      Math.floor(i / vocabularySize) % steps,
      i % vocabularySize,
    ];
    return values[(t * 3 + n) * vocabularySize + v];
  });
}

for (const cell of ["rnn", "lstm"] as const) {
  fileTest(`a saved ${cell} captioner comes back and says the same`, [], async (gpu, path) => {
    using captioner = smallCaptioner(gpu, cell, { dropout: 0.25 });
    await saveCaptioner(path, captioner, SETTING);
    const loaded = await loadCaptioner(gpu, path);
    using again = loaded.captioner;
    assertEquals(again.config, captioner.config);
    assertEquals(loaded.setting.vocabulary.words, VOCABULARY.words);
    assertEquals([loaded.setting.scale, loaded.setting.captionLength], [SCALE, 6]);
    using features = Tensor.from(gpu, FEATURES, [3, SIZES.featureDim]);
    assertEquals(
      await sampleGreedy(again, features, 5),
      await sampleGreedy(captioner, features, 5),
    );
    assertEquals(
      await scoresOf(again, CAPTIONS, FEATURES),
      await scoresOf(captioner, CAPTIONS, FEATURES),
    );
  });
}

gpuTest("a captioner that PyTorch wrote opens here and has the same scores", async (gpu) => {
  const { captioner: loaded, setting } = await loadCaptioner(gpu, torch.FILE.path);
  using captioner = loaded;
  assertEquals([...setting.vocabulary.words], torch.FILE.vocabulary);
  assertEquals(setting.scale, { mean: torch.FILE.mean, deviation: torch.FILE.deviation });
  assertEquals(setting.captionLength, 6);
  const scores = await scoresOf(captioner, torch.CAPTIONS, torch.FILE.features);
  assertLess(relativeError(scores, torch.FILE.scores), 1e-5);
});

/** Run the fixture's script on a file, with JSON on its standard input. */
async function score(path: string, given: unknown): Promise<number[]> {
  const args = [SCRIPT, "score", path];
  const child = new Deno.Command(PYTHON, { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(given)));
  await writer.close();
  const { success, stdout } = await child.output();
  assert(success, "PyTorch cannot read the file");
  const scores: number[][][] = JSON.parse(new TextDecoder().decode(stdout));
  return scores.flat(2);
}

/** Why PyTorch cannot be asked here; undefined when it can, or when permissions say more. */
function noTorch(): string | undefined {
  if (Deno.permissions.querySync({ name: "run", command: PYTHON }).state !== "granted") return;
  try {
    const find = "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)";
    const { success } = new Deno.Command(PYTHON, { args: ["-c", find] }).outputSync();
    return success ? undefined : "skipped: PyTorch is not installed";
  } catch {
    return `skipped: there is no ${PYTHON}`;
  }
}

function rows(values: ArrayLike<number>, width: number): number[][] {
  const all = Array.from(values);
  return Array.from(
    { length: all.length / width },
    (_, i) => all.slice(i * width, (i + 1) * width),
  );
}

for (const cell of ["rnn", "lstm"] as const) {
  const name = `PyTorch reads a saved ${cell} captioner and gives the same scores`;
  const reason = noTorch();
  if (reason !== undefined) {
    Deno.test({ name: `${name} (${reason})`, ignore: true, fn: () => {} });
    continue;
  }
  fileTest(name, [{ name: "run", command: PYTHON }], async (gpu, path) => {
    using captioner = smallCaptioner(gpu, cell);
    await saveCaptioner(path, captioner, SETTING);
    const words = rows(torch.CAPTIONS, 6).map((caption) => caption.slice(0, 5));
    const expected = await score(path, { features: rows(FEATURES, SIZES.featureDim), words });
    const got = await scoresOf(captioner, torch.CAPTIONS, FEATURES);
    assertLess(relativeError(got, expected), 1e-5);
  });
}

gpuTest("a file that is no captioner is refused", async (gpu) => {
  const other = fromFileUrl(new URL("../fixtures/safetensors/dtypes.safetensors", import.meta.url));
  await assertRejects(() => loadCaptioner(gpu, other), UserError, "holds no captioner");
  const json = fromFileUrl(new URL("../fixtures/captioner_torch.json", import.meta.url));
  await assertRejects(() => loadCaptioner(gpu, json), UserError, "is not a safetensors file");
});

fileTest("a captioner whose parts do not fit is refused", [], async (gpu, path) => {
  const { tensors, metadata } = await readSafetensors(torch.FILE.path);
  const config: Record<string, unknown> = JSON.parse(metadata.config);
  const refuse = async (
    change: { metadata?: Record<string, string>; tensors?: typeof tensors },
    error: new (message: string) => Error,
    message: string,
  ) => {
    await writeSafetensors(path, change.tensors ?? tensors, { ...metadata, ...change.metadata });
    await assertRejects(() => loadCaptioner(gpu, path), error, message);
  };
  const sizes = (change: Record<string, unknown>) => ({
    metadata: { config: JSON.stringify({ ...config, ...change }) },
  });
  const strange = "these are not the sizes of a captioner";
  await refuse(sizes({ cell: "gru" }), UserError, strange);
  await refuse(sizes({ hiddenDim: 2.5 }), UserError, strange);
  await refuse(sizes({ captionLength: undefined }), UserError, strange);
  await refuse(
    sizes({ captionLength: 1e6 }),
    UserError,
    "captions have 1000000 tokens: at most 1000",
  );
  await refuse(sizes({ hiddenDim: 14_000 }), UserError, "project.weight is [7, 5], not [14000, 5]");
  await refuse(sizes({ wordDim: 1e8 }), UserError, "embed.weight is [11, 6], not [11, 100000000]");
  await refuse({ metadata: { config: "null" } }, UserError, "holds no captioner");
  await refuse({ metadata: { config: "{" } }, UserError, "holds no captioner");
  await refuse({ metadata: { vocabulary: "[]" } }, UserError, "must start with <NULL>");
  await refuse(
    sizes({ vocabularySize: 12 }),
    UserError,
    "there are 11 words, and 12 in the sizes",
  );
  await refuse(sizes({ hiddenDim: 8 }), UserError, "project.weight is [7, 5], not [8, 5]");
  await refuse(sizes({ cell: "rnn" }), UserError, "recurrent.weight_ih_l0 is [28, 6], not [7, 6]");
  const without = new Map(tensors);
  without.delete("score.bias");
  await refuse({ tensors: without }, UserError, "missing: score.bias");
  const short = new Map(tensors);
  short.set("features.mean", { dtype: "F32", shape: [4], data: new Float32Array(4) });
  await refuse({ tensors: short }, UserError, `The "features.mean" of`);
});
