/** The sentence classifiers against PyTorch: logits, losses, gradients and weights over eight steps. */
import { assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { RandomStream } from "../../data/rng.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/tape/autograd.ts";
import { Adam } from "../../models/training/optimizers.ts";
import type {
  ClassifierKind,
  SentenceClassifier,
} from "../../models/sentences/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentences/sentence_classifiers.ts";
import { gpuTestBothPaths } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { numbers } from "./torch_captioner.ts";
import fixture from "../fixtures/sentence_classifiers_torch.json" with { type: "json" };

type StoredTensors = Record<string, { shape: number[]; data: string } | undefined>;

function tensors(stored: StoredTensors): Map<string, TensorData & { data: Float32Array }> {
  return new Map(
    Object.entries(stored).map(([key, tensor]) => {
      const { shape, data } = tensor!;
      return [key, { dtype: "F32", shape, data: numbers(data) }];
    }),
  );
}

/** Compare state dicts, or gradients, key by key. */
function compare(got: Map<string, TensorData>, stored: StoredTensors, tolerance: number): void {
  const expected = tensors(stored);
  assertEquals([...got.keys()].sort(), [...expected.keys()].sort());
  for (const [key, { shape, data }] of expected) {
    assertEquals(got.get(key)!.shape, shape);
    const error = relativeError(got.get(key)!.data as Float32Array, data);
    assertLess(error, tolerance, `${key}: ${error}`);
  }
}

/** Gradients in PyTorch's layout, but for those of the second biases, which are frozen there. */
async function gradientsOf({ saved }: SentenceClassifier): Promise<Map<string, TensorData>> {
  const gradients = new Map<string, TensorData>();
  for (const { keys, parameter: { layout, variable } } of saved) {
    const parts = layout.encode(await variable.grad!.read());
    layout.slots.forEach(({ shape }, i) => {
      const key = keys[i];
      if (key.includes("bias_hh")) return;
      gradients.set(key, { dtype: "F32", shape: [...shape], data: parts[i] });
    });
  }
  return gradients;
}

for (const run of fixture.runs) {
  const { sparse, lr, eps: epsilon } = run;
  const kind = run.kind as ClassifierKind;
  const name = `${kind} trains as in PyTorch with ${sparse ? "SparseAdam" : "Adam"}`;
  gpuTestBothPaths(name, async (gpu) => {
    const config = { ...fixture.sizes, kind, sparse };
    using classifier = makeClassifier(gpu, config, new RandomStream(0));
    classifier.loadStateDict(tensors(run.initial));
    using optimizer = new Adam(classifier.store, { lr, epsilon });
    for (const [step, expected] of run.losses.entries()) {
      const chosen = (_: unknown, i: number) => !sparse || i % 2 === step % 2;
      using input = classifier.upload(fixture.sentences.filter(chosen));
      using targets = Tensor.from(gpu, fixture.labels.filter(chosen));
      using tape = new Tape(gpu);
      const logits = classifier.logits(input);
      if (step === 0) {
        assertLess(relativeError(await logits.tensor.read(), numbers(run.logits)), 1e-5);
      }
      const loss = classifier.loss(input, targets);
      tape.backward(loss);
      if (step === 0) compare(await gradientsOf(classifier), run.gradients, 1e-5);
      optimizer.step();
      const [got] = await loss.tensor.read();
      assertAlmostEquals(got, expected, 1e-4 * expected, `the loss of step ${step}`);
    }
    compare(await classifier.stateDict(), run.final, 1e-4);
  });
}
