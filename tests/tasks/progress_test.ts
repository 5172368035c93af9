import process from "node:process";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { clock, figure } from "../../tasks/lib/format.ts";
import { progress } from "../../tasks/lib/progress.ts";

/** A progress with plain lines and a clock that the test moves. */
function plain(total: number) {
  const lines: string[] = [];
  const state = { time: 0 };
  const bar = progress({
    total,
    unit: "step",
    live: false,
    print: (line) => lines.push(line),
    now: () => state.time,
  });
  return { bar, lines, state };
}

Deno.test("progress: plain lines at each tenth, with speed and time left", () => {
  const { bar, lines, state } = plain(100);
  for (let step = 1; step <= 100; step++) {
    state.time = step * 200;
    bar.update(step, { loss: 50 / step });
  }
  bar.stop();
  assertEquals(lines.length, 10);
  assertEquals(lines[0], " 10 %  10/100 steps  loss 5  5.00 steps/s  0:18 left");
  assertEquals(lines[9], "100 %  100/100 steps  loss 0.5000  5.00 steps/s  0:00 left");
});

Deno.test("progress: slow steps get a line every ten seconds, fast ones no flood", () => {
  const slow = plain(1000);
  for (let step = 1; step <= 10; step++) {
    slow.state.time = step * 4000;
    slow.bar.update(step);
  }
  slow.bar.stop();
  assertEquals(slow.lines.map((line) => line.slice(7, 9)), ["3/", "6/", "9/", "10"]);

  const fast = plain(1000);
  for (let step = 1; step <= 1000; step++) {
    fast.state.time = step / 100;
    fast.bar.update(step);
  }
  fast.bar.stop();
  assertEquals(fast.lines.length, 1);
});

Deno.test("progress: the speed follows the last seconds", () => {
  const { bar, lines, state } = plain(10_000);
  let step = 0;
  for (; step < 600; step++) bar.update(step, { at: state.time += 100 });
  for (; step < 660; step++) bar.update(step, { at: state.time += 1000 });
  assertStringIncludes(lines.at(-1) ?? "", "1.00 steps/s");
});

Deno.test("progress: figures stay until they change, notes come in between", () => {
  const { bar, lines, state } = plain(2);
  state.time = 5000;
  bar.update(1, { loss: 1.23456 });
  bar.note("validation loss 2");
  state.time = 10_000;
  bar.update(2);
  bar.stop();
  bar.stop();
  assertEquals(lines, [
    " 50 %  1/2 steps  loss 1.235  0.200 steps/s  0:05 left",
    "validation loss 2",
    "100 %  2/2 steps  loss 1.235  0.200 steps/s  0:00 left",
  ]);
});

Deno.test("progress: a terminal that is gone does not end the task", () => {
  for (let run = 0; run < 2; run++) {
    using _bar = progress({ total: 2, unit: "step", live: true });
    // Without a listener this throws.
    process.stdout.emit("error", new Error("write EPIPE"));
  }
  assertEquals(process.stdout.listenerCount("error"), 1);
});

Deno.test("progress: bad totals and steps are refused", () => {
  for (const total of [0, -1, 2.5, NaN, Infinity]) {
    assertThrows(() => plain(total), RangeError, `not ${total}`);
  }
  const { bar } = plain(5);
  bar.update(3);
  for (const done of [2, 6, NaN]) {
    assertThrows(() => bar.update(done), RangeError, "Progress goes from 3 up to 5");
  }
});

Deno.test("format: figures and clock", () => {
  assertEquals([1.23456, 0, 12, 1234.6, 1e-7, NaN, -0.5].map(figure), [
    "1.235",
    "0",
    "12",
    "1235",
    "1e-7",
    "NaN",
    "-0.5000",
  ]);
  assertEquals([0, 59.6, 754, 3723, Infinity].map(clock), [
    "0:00",
    "1:00",
    "12:34",
    "1:02:03",
    "-:--",
  ]);
});
