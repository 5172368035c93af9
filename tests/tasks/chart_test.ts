import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type LineChart, lineChart, type Point, smoothed } from "../../tasks/lib/chart.ts";

const falling: Point[] = Array.from({ length: 37 }, (_, i) => [i + 1, 50 / (i + 1)]);
const chart: LineChart = {
  title: "Loss <&>",
  xLabel: "step",
  yLabel: "loss per caption",
  series: [
    { name: "each step", points: falling, faint: true },
    { name: "smoothed", points: smoothed(falling) },
    { name: "validation", points: [[10, 8], [20, 5], [30, 4.5]], dashed: true },
  ],
};
const count = (text: string, part: RegExp) => [...text.matchAll(part)].length;

Deno.test("chart: a whole SVG with heading, labels, legend and lines", () => {
  const svg = lineChart(chart);
  assert(svg.startsWith('<svg width="720" height="400" xmlns="http://www.w3.org/2000/svg"'), svg);
  assert(svg.trimEnd().endsWith("</svg>"));
  for (
    const text of ["Loss &lt;&amp;&gt;", "step", "loss per caption", "each step", "validation"]
  ) {
    assertStringIncludes(svg, `>${text}</text>`);
  }
  assertStringIncludes(svg, 'fill="#ffffff"');
  // The faint line and the smoothed one share the first color, the third line has the second.
  assertEquals(count(svg, /<path [^>]*stroke="#0072b2"/g), 2);
  assertEquals(count(svg, /<path [^>]*stroke="#d55e00"[^>]*stroke-dasharray/g), 1);
  assertStringIncludes(svg, 'stroke-opacity="0.35"');
});

Deno.test("chart: equal charts are equal texts, with nothing that asks for a browser", () => {
  const first = lineChart(chart);
  lineChart({ ...chart, width: 300, height: 200 });
  assertEquals(lineChart(chart), first);
  assertEquals(/zr\d|class=|<style|<script|href|ecmeta/.test(first), false);
});

Deno.test("chart: a single point is a dot, a gap breaks the line", () => {
  const dot = lineChart({ ...chart, series: [{ name: "one", points: [[1, 2]] }] });
  const line = lineChart({ ...chart, series: [{ name: "one", points: [[1, 2], [2, 3]] }] });
  assert(dot !== line);
  const points: Point[] = [[1, 1], [2, 2], [3, NaN], [4, 2], [5, Infinity], [6, 1], [7, 2]];
  const path = /<path d="(M[^"]*)" fill="none" stroke="#0072b2"/.exec(
    lineChart({ ...chart, series: [{ name: "one", points }] }),
  );
  assertEquals(count(path?.[1] ?? "", /M/g), 3);
});

Deno.test("chart: the x axis has no ticks between whole numbers, nor one over another", () => {
  const draw = (points: Point[]) => lineChart({ ...chart, series: [{ name: "one", points }] });
  const epochs = draw([[1, 0.5], [2, 0.25], [3, 0.125]]);
  const shown = (svg: string, text: string) => svg.includes(`>${text}</text>`);
  assertEquals(["1", "2", "3", "1.5"].map((text) => shown(epochs, text)), [
    true,
    true,
    true,
    false,
  ]);
  assert(shown(draw([[1, 0.5], [1.5, 0.25], [2, 0.125]]), "1.2"));
  // The end of the axis lies close to a tick.
  assertEquals(["10000", "10600"].filter((x) => shown(draw([[0, 5], [10600, 7]]), x)).length, 1);
});

Deno.test("chart: a logarithmic axis has powers of ten", () => {
  const svg = lineChart({ ...chart, logY: true });
  for (const power of ["1", "10", "100"]) assertStringIncludes(svg, `>${power}</text>`);
  const zero = [{ name: "zero", points: [[0, 1], [1, 0]] as Point[] }];
  assertThrows(() => lineChart({ ...chart, logY: true, series: zero }), RangeError, "y > 0");
});

Deno.test("chart: what cannot be drawn is refused", () => {
  const one = (points: Point[]) => ({ ...chart, series: [{ name: "a", points }] });
  assertThrows(() => lineChart({ ...chart, series: [] }), RangeError, "at least one series");
  assertThrows(() => lineChart(one([])), RangeError, '"a" has no point');
  assertThrows(() => lineChart(one([[2, 0], [1, 0]])), RangeError, "x = 1");
  assertThrows(() => lineChart(one([[NaN, 0]])), RangeError, "x = NaN");
  assertThrows(() => lineChart({ ...chart, width: 20 }), RangeError, "not 20");
  const twice = [...chart.series, ...chart.series];
  assertThrows(() => lineChart({ ...chart, series: twice }), TypeError, "different names");
});

Deno.test("smoothed: the mean around each point, without lag", () => {
  const line: Point[] = Array.from({ length: 21 }, (_, i) => [i, 3 * i]);
  smoothed(line, 5).forEach(([x, y]) => assertAlmostEquals(y, 3 * x, 1e-12));
  const noisy: Point[] = [[0, 1], [1, 5], [2, 3], [3, NaN], [4, 7], [5, 9], [6, 2]];
  const ys = smoothed(noisy, 3).map(([, y]) => y);
  assertEquals(ys, [1, 3, 4, NaN, 8, 6, 2]);
  assertEquals(smoothed(noisy, 1), noisy);
  assertEquals(smoothed([]), []);
  for (const window of [0, 2, 1.5, NaN]) {
    assertThrows(() => smoothed(noisy, window), RangeError, `not ${window}`);
  }
});

Deno.test("lineChart() moves the plot down by each further row of the legend", () => {
  const height = (count: number) => {
    const series = Array.from({ length: count }, (_, i) => ({
      name: `seed ${231 + i}, validation`,
      points: [[0, i], [1, i + 1]] as const,
    }));
    const svg = lineChart({ title: "Accuracy", xLabel: "epoch", yLabel: "percent", series });
    return Number(/<svg[^>]* height="(\d+)"/.exec(svg)![1]);
  };
  assertEquals([3, 4, 6, 9].map(height), [400, 440, 440, 480]);
});
