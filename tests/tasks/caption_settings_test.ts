/** The captioning task's settings: defaults for each kind of data, and flags that exclude each other. */
import { assertEquals, assertThrows } from "@std/assert";
import type { CellType } from "../../models/layers/layers.ts";
import { captionSettings } from "../../tasks/caption/settings.ts";
import { UsageError } from "../../tasks/lib/flags.ts";

/** The settings that say how is learned. */
function learning(cell: CellType, ...flags: string[]) {
  const settings = captionSettings(cell, flags);
  if ("model" in settings) throw new TypeError("these are settings of a run that learns nothing");
  const { epochs, batch, sortWithin, hidden, words, lr, schedule, decay, stepDecay } = settings;
  const { wordDeviation, scoreDeviation } = settings;
  return {
    ...{ epochs, batch, sortWithin, hidden, words, lr },
    rate: [schedule, decay, stepDecay],
    deviations: [wordDeviation, scoreDeviation],
  };
}

Deno.test("caption tasks: the defaults for scenes and for --data", () => {
  const sizes = { batch: 64, sortWithin: 4, hidden: 128, words: 64 };
  const scenes = { ...sizes, epochs: 4, lr: 6e-3, rate: ["linear", 1, 1] };
  assertEquals(learning("lstm"), { ...scenes, deviations: [0.3, 0.7] });
  assertEquals(learning("rnn"), { ...scenes, deviations: [0.1, 0.7] });
  // Those of the homework.
  const real = { batch: 25, sortWithin: 1, hidden: 512, words: 256, lr: 5e-3, epochs: 50 };
  const deviations = [0.01, 1 / Math.sqrt(512)];
  assertEquals(learning("lstm", "--data=x"), { ...real, deviations, rate: ["decay", 0.995, 1] });
  assertEquals(learning("rnn", "--data=x"), { ...real, deviations, rate: ["decay", 0.95, 1] });
  assertEquals(learning("rnn", "--data=x", "--hidden=16").deviations, [0.01, 0.25]);
});

Deno.test("caption tasks: a decay chooses its schedule, and no other", () => {
  const rate = (...flags: string[]) => learning("lstm", ...flags).rate;
  assertEquals(rate("--decay=0.5"), ["decay", 0.5, 1]);
  assertEquals(rate("--step-decay=0.9"), ["decay", 1, 0.9]);
  assertEquals(rate("--schedule=decay"), ["decay", 1, 1]);
  assertEquals(rate("--data=x", "--schedule=linear")[0], "linear");
  for (const flag of ["--decay", "--step-decay"]) {
    assertThrows(
      () => learning("lstm", "--data=x", "--schedule=linear", `${flag}=0.5`),
      UsageError,
      `Flag ${flag} is for --schedule=decay, and not linear`,
    );
  }
});
