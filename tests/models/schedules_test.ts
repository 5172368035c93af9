import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  cosine,
  oneCycle,
  Plateau,
  type Schedule,
  stepDecay,
  warmUp,
} from "../../models/training/schedules.ts";
import fixture from "../fixtures/schedules_torch.json" with { type: "json" };

const SCHEDULES: Record<string, [Schedule, number[]]> = {
  stepDecay: [stepDecay(0.5, { every: 3, factor: 0.3 }), fixture.stepDecay],
  exponential: [stepDecay(0.5, { factor: 0.9 }), fixture.exponential],
  cosine: [cosine(0.5, { steps: 10, least: 0.05 }), fixture.cosine],
  warmUp: [warmUp(() => 0.5, { steps: 4, from: 0.25 }), fixture.warmUp],
  oneCycle: [oneCycle(0.5, { steps: 20 }), fixture.oneCycle],
  "oneCycle with other shares": [
    oneCycle(2, { steps: 17, growing: 0.4, first: 10, last: 100 }),
    fixture.oneCycleOther,
  ],
};

for (const [name, [schedule, expected]] of Object.entries(SCHEDULES)) {
  Deno.test(`the rates of ${name} are PyTorch's`, () => {
    for (const [step, rate] of expected.entries()) {
      assertAlmostEquals(schedule(step), rate, 1e-9 * rate + 1e-15, `step ${step}`);
    }
  });
}

Deno.test("schedules hold their last rate", () => {
  assertEquals(cosine(0.5, { steps: 10, least: 0.05 })(100), 0.05);
  const cycle = oneCycle(0.5, { steps: 20 });
  assertEquals(cycle(19), cycle(1000));
});

Deno.test("a plateau's rates are PyTorch's", () => {
  const plateau = new Plateau(0.5, { factor: 0.5, patience: 1 });
  const larger = new Plateau(0.5, {
    larger: true,
    factor: 0.5,
    patience: 2,
    threshold: 0.01,
    least: 0.1,
  });
  assertEquals(fixture.results.map((result) => plateau.next(result)), fixture.plateau);
  assertEquals(fixture.results.map((result) => larger.next(result)), fixture.plateauLarger);
});

Deno.test("schedules refuse numbers that cannot be", () => {
  const refuse = (call: () => unknown, message: string) =>
    void assertThrows(call, RangeError, message);
  refuse(
    () => stepDecay(0, { factor: 1 }),
    "The lr of a schedule must be a number above 0: it is 0",
  );
  refuse(
    () => stepDecay(1, { every: 1.5, factor: 1 }),
    "every of a schedule must be a whole number",
  );
  refuse(
    () => cosine(1, { steps: 5, least: 2 }),
    "least of a schedule must be a number from 0 to lr",
  );
  refuse(() => warmUp(() => 1, { steps: 5, from: 0 }), "from of a schedule must be above 0");
  refuse(() => oneCycle(1, { steps: 5, growing: 1 }), "growing of a schedule must be a share");
  refuse(() => new Plateau(1, { factor: 1 }), "factor of a schedule must be above 0 and below 1");
});
