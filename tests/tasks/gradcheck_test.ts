import { assertEquals } from "@std/assert";
import { formatTable } from "../../tasks/gradcheck.ts";

Deno.test("formatTable() aligns the columns and marks a failure", () => {
  const table = formatTable([
    { problem: "3.2 RNN step", gradient: "dx", shape: [3, 7], error: 1.74e-12, ok: true },
    { problem: "4.4 LSTM", gradient: "dWh", shape: [5, 20], error: 0.5, ok: false },
  ]);
  assertEquals(
    table,
    [
      "problem       gradient  shape    relative error",
      "3.2 RNN step  dx        [3, 7]   1.7e-12         ok",
      "4.4 LSTM      dWh       [5, 20]  5.0e-1          FAIL",
    ].join("\n"),
  );
});
