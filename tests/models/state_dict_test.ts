/** State dicts: the round trip, and the report of what does not fit. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeSafetensors, encodeSafetensors } from "../../data/formats/safetensors.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { gpuTest } from "../gpu_support.ts";
import { smallCaptioner } from "./small_captioner.ts";
import { UserError } from "../../data/files/user_error.ts";

function halves(values: number[], shape: number[]): TensorData {
  return { dtype: "F16", shape, data: Float16Array.from(values) };
}

for (const cell of ["rnn", "lstm"] as const) {
  gpuTest(
    `the state dict of an ${cell} captioner comes back the same, through a file too`,
    async (gpu) => {
      using captioner = smallCaptioner(gpu, cell);
      const dict = await captioner.stateDict();
      const { tensors } = decodeSafetensors(encodeSafetensors(dict));
      using other = smallCaptioner(gpu, cell);
      for (const { tensor } of other.parameters) tensor.write(new Float32Array(tensor.size));
      const report = other.loadStateDict(tensors);
      assertEquals(report, { missing: [], unexpected: [], misshapen: [] });
      for (const [i, { tensor }] of captioner.parameters.entries()) {
        assertEquals(await other.parameters[i].tensor.read(), await tensor.read());
      }
    },
  );
}

gpuTest("loading lists everything that does not fit, and writes nothing", async (gpu) => {
  using captioner = smallCaptioner(gpu, "rnn");
  const before = await captioner.stateDict();
  const zeros = new Map<string, TensorData>();
  for (const [key, { shape, data }] of before) {
    zeros.set(key, { dtype: "F32", shape, data: new Float32Array(data.length) });
  }
  zeros.delete("project.bias");
  zeros.delete("recurrent.bias_hh_l0");
  zeros.set("decoder.weight", halves([1], [1]));
  zeros.set("score.weight", { dtype: "F32", shape: [7, 11], data: new Float32Array(77) });
  const error = assertThrows(() => captioner.loadStateDict(zeros), UserError);
  assertEquals(
    error.message,
    "The state dict does not fit the model; missing: project.bias, recurrent.bias_hh_l0; " +
      "unexpected: decoder.weight; of another shape or type: score.weight is [7, 11], not [11, 7]",
  );
  assertEquals(await captioner.stateDict(), before);

  const report = captioner.loadStateDict(zeros, { strict: false });
  assertEquals(report, {
    missing: ["project.bias", "recurrent.bias_hh_l0"],
    unexpected: ["decoder.weight"],
    misshapen: ["score.weight is [7, 11], not [11, 7]"],
  });
  const after = await captioner.stateDict();
  // One of its two parts is missing: the bias stays as a whole.
  const kept = ["project.bias", "score.weight", "recurrent.bias_ih_l0", "recurrent.bias_hh_l0"];
  for (const [key, tensor] of after) {
    if (kept.includes(key)) assertEquals(tensor, before.get(key)!);
    else assert(tensor.data.every((v) => v === 0), `${key} was not loaded`);
  }
});

gpuTest("half precision is widened, whole numbers are refused", async (gpu) => {
  using captioner = smallCaptioner(gpu, "rnn");
  const dict = await captioner.stateDict();
  const values = [1.5, -2, 0.25, 0, 1, 2, -0.125];
  dict.set("project.bias", halves(values, [7]));
  captioner.loadStateDict(dict);
  assertEquals(await captioner.project.bias!.tensor.read(), Float32Array.from(values));
  dict.set("project.bias", { dtype: "I32", shape: [7], data: new Int32Array(7) });
  assertThrows(
    () => captioner.loadStateDict(dict),
    UserError,
    "project.bias holds whole numbers (I32), where floats are needed (F64, F32, F16, BF16): in PyTorch, save tensor.float()",
  );
  assertEquals(await captioner.project.bias!.tensor.read(), Float32Array.from(values));
});
