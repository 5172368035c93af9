/** Several networks in one classifier: each learns from its own loss, and their mean logit answers. */
import { assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/tape/autograd.ts";
import type { ClassifierConfig } from "../../models/sentences/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentences/sentence_classifiers.ts";
import { gpuTest } from "../gpu_support.ts";
import { relativeError } from "../support.ts";

const CONFIG: ClassifierConfig = {
  kind: "bilstm",
  vocabularySize: 9,
  wordDim: 4,
  hiddenDim: 5,
};
const SENTENCES = [[4, 5, 6], [7], [8, 4]];
const LABELS = [1, 0, 1];

gpuTest(
  "an ensemble answers with the mean of its members, and learns the sum of their losses",
  async (gpu) => {
    using ensemble = makeClassifier(gpu, { ...CONFIG, members: 3 }, new RandomStream(1));
    using targets = Tensor.from(gpu, LABELS);
    const dict = await ensemble.stateDict();
    assertEquals(dict.size, 3 * 11);
    const mean = new Float64Array(3);
    let sum = 0;
    const gradients = new Map<string, Float32Array>();
    for (let i = 0; i < 3; i++) {
      using alone = makeClassifier(gpu, CONFIG, new RandomStream(2));
      const prefix = `members.${i}.`;
      const own = [...dict].filter(([key]) => key.startsWith(prefix));
      alone.loadStateDict(
        new Map(own.map(([key, tensor]) => [key.slice(prefix.length), tensor])),
      );
      using input = alone.upload(SENTENCES);
      using tape = new Tape(gpu);
      const logits = await alone.logits(input).tensor.read();
      logits.forEach((logit, n) => mean[n] += logit / 3);
      const loss = alone.loss(input, targets);
      tape.backward(loss);
      sum += (await loss.tensor.read())[0];
      for (const { name, variable } of alone.parameters) {
        gradients.set(prefix + name, await variable.grad!.read());
      }
    }
    using input = ensemble.upload(SENTENCES);
    using tape = new Tape(gpu);
    assertLess(relativeError(await ensemble.logits(input).tensor.read(), mean), 1e-5);
    const loss = ensemble.loss(input, targets);
    tape.backward(loss);
    assertAlmostEquals((await loss.tensor.read())[0], sum, 1e-5);
    for (const { name, variable } of ensemble.parameters) {
      assertLess(relativeError(await variable.grad!.read(), gradients.get(name)!), 1e-5, name);
    }
    // Each starts from weights of its own.
    const starts = [0, 1, 2].map((i) => dict.get(`members.${i}.score.weight`)!.data.join());
    assertEquals(new Set(starts).size, 3);
  },
);

gpuTest("only the kind with members takes more than one, and at least one", (gpu) => {
  const make = (config: ClassifierConfig) => makeClassifier(gpu, config, new RandomStream(1));
  assertThrows(
    () => make({ ...CONFIG, kind: "lstm", members: 2 }),
    TypeError,
    'The kind "lstm" has one member, and 2 were asked for',
  );
  assertThrows(
    () => make({ ...CONFIG, members: 0 }),
    RangeError,
    "There must be a whole number of members from 1: it is 0",
  );
});
