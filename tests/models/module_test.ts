import { assertEquals, assertThrows } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape } from "../../models/tape/autograd.ts";
import { Dropout, Linear, Recurrent } from "../../models/layers/layers.ts";
import { Module } from "../../models/layers/module.ts";
import { Adam } from "../../models/training/optimizers.ts";
import { Buffer, Parameter } from "../../models/layers/parameters.ts";
import { BatchNorm2d } from "../../models/layers/vision_layers.ts";
import { gpuTest } from "../gpu_support.ts";
import { UserError } from "../../data/files/user_error.ts";

class Inner extends Module {
  readonly scale = new Parameter([2], Float32Array.of(1, 2));
  readonly seen = new Buffer([1], Float32Array.of(3));
  readonly dropout = new Dropout(0.5, new RandomStream(1));
}

class Outer extends Module {
  readonly name = "outer";
  readonly first = new Linear(2, 3);
  readonly list = [new Inner(), [new Linear(3, 1, { bias: false })]];
  readonly byPlace = new Map([[4, new BatchNorm2d(3)]]);
  readonly tied = this.first;
  readonly nothing = undefined;
  readonly #hidden = new Parameter([1], Float32Array.of(1));
  readonly last = new Parameter([1], Float32Array.of(1));

  get hidden(): Parameter {
    return this.#hidden;
  }
}

const names = (parameters: Parameter[]) => parameters.map(({ name }) => name);

Deno.test("a module finds its parameters in its fields, in their order, each once", () => {
  const model = new Outer().initialize();
  assertEquals(names(model.parameters), [
    ...["first.weight", "first.bias", "list.0.scale", "list.1.0.weight", "by_place.4.weight"],
    ...["by_place.4.bias", "last"],
  ]);
  assertEquals(names(model.buffers), [
    ...["list.0.seen", "by_place.4.running_mean", "by_place.4.running_var"],
  ]);
  assertEquals(names(new Recurrent("lstm", 1, 1).initialize().parameters), [
    ...["weight_ih_l0", "weight_hh_l0", "bias_ih_l0"],
  ]);
});

Deno.test("train, eval and freeze reach all that is within", () => {
  const model = new Outer().initialize();
  const inner = model.list[0] as Inner;
  assertEquals([model.training, inner.dropout.training], [true, true]);
  model.eval();
  assertEquals([model.training, inner.dropout.training], [false, false]);
  inner.train();
  assertEquals([model.training, inner.dropout.training], [false, true]);
  inner.freeze();
  assertEquals(
    names(model.parameters.filter(({ frozen }) => frozen)),
    ["list.0.scale"],
  );
  model.freeze().freeze(false);
  assertEquals(model.parameters.some(({ frozen }) => frozen), false);
  assertEquals(model.buffers.every(({ frozen }) => frozen), true);
});

gpuTest("a module goes to a GPU once, and saves and loads all it has", async (gpu) => {
  const model = new Outer();
  assertThrows(() => model.store, ReferenceError, "not on a GPU yet");
  model.toGpu(gpu);
  assertThrows(() => model.toGpu(gpu), ReferenceError, "on a GPU already");
  using adam = new Adam(model.store, { lr: 0.1 });
  assertEquals(names([...adam.store.trainable]), names(model.parameters));
  const dict = await model.stateDict();
  assertEquals([...dict.keys()], names([...model.parameters, ...model.buffers]));
  assertEquals([...dict.get("list.0.seen")!.data as Float32Array], [3]);
  (dict.get("list.0.scale")!.data as Float32Array).set([7, 8]);
  using other = new Outer();
  assertEquals(other.loadStateDict(dict), { missing: [], unexpected: [], misshapen: [] });
  other.toGpu(gpu);
  const { scale } = other.list[0] as Inner;
  assertEquals([...await scale.tensor.read()], [7, 8]);
  dict.delete("last");
  assertThrows(() => other.loadStateDict(dict), UserError, "missing: last");
  model.dispose();
});

gpuTest("dropout drops while both its module and the tape train", (gpu) => {
  using data = Tensor.from(gpu, new Float32Array(64).fill(1));
  const dropout = new Dropout(0.5, new RandomStream(1));
  const drops = (training: boolean) => {
    using _tape = new Tape(gpu, { training });
    const x = constant(data);
    return dropout.forward(x) !== x;
  };
  assertEquals([drops(true), drops(false)], [true, false]);
  dropout.eval();
  assertEquals(drops(true), false);
});
