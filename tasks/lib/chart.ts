/** Line charts as SVG text, drawn by Apache ECharts without a browser. */
// The bundled build reads no environment variable, so that it needs no permission.
// @ts-types="npm:echarts@6.1.0"
import * as echarts from "npm:echarts@6.1.0/dist/echarts.esm.min.mjs";

/** A point `[x, y]`. A `y` that is NaN or infinite leaves a gap. */
export type Point = readonly [x: number, y: number];

/** One line of a chart. */
export interface Series {
  /** The name in the legend. */
  name: string;
  /** At least one point, in order of x. */
  points: readonly Point[];
  /** Draw it dashed. */
  dashed?: boolean;
  /** Draw it thin and pale, in the color of the next line: for the raw values behind a smoothed line. */
  faint?: boolean;
}

/** What {@link lineChart} draws. */
export interface LineChart {
  /** The heading. */
  title: string;
  /** What x is, with its unit. */
  xLabel: string;
  /** What y is, with its unit. */
  yLabel: string;
  /** At least one line. */
  series: readonly Series[];
  /** A logarithmic y axis; every y must then be above 0. */
  logY?: boolean;
  /** Width in pixels, 720 when left out. */
  width?: number;
  /** Height in pixels, 400 when left out. */
  height?: number;
}

// Okabe and Ito's colors, told apart with every common color blindness too.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];
const INK = "#333333";
const DASHES = "path://M0 0h12v3h-12zM16 0h12v3h-12z";

function check(chart: LineChart, width: number, height: number): void {
  if (chart.series.length === 0) throw new RangeError("A chart needs at least one series");
  for (const size of [width, height]) {
    if (!Number.isSafeInteger(size) || size < 100 || size > 10_000) {
      throw new RangeError(`A chart is 100 to 10000 pixels wide and high, and not ${size}`);
    }
  }
  const names = chart.series.map(({ name }) => name);
  if (new Set(names).size < names.length) {
    throw new TypeError(`The series of a chart need different names, and not ${names.join(", ")}`);
  }
  for (const { name, points } of chart.series) {
    if (points.length === 0) throw new RangeError(`The series "${name}" has no point`);
    points.forEach(([x, y], i) => {
      if (!Number.isFinite(x) || (i > 0 && x < points[i - 1][0])) {
        throw new RangeError(
          `In "${name}", point ${i} has x = ${x}: x must be finite and not fall`,
        );
      }
      if (chart.logY && y <= 0) {
        throw new RangeError(
          `In "${name}", point ${i} has y = ${y}: a logarithmic axis needs y > 0`,
        );
      }
    });
  }
}

/** A color for each series: a faint one shares that of the next line that is not faint. */
function colors(series: readonly Series[]): string[] {
  let strong = 0;
  return series.map(({ faint }) => COLOURS[(faint ? strong : strong++) % COLOURS.length]);
}

/** A number on an axis: at most six digits, and powers of ten where that is shorter. */
function tick(value: number): string {
  const rounded = Number(value.toPrecision(6));
  const small = rounded !== 0 && (Math.abs(rounded) < 1e-3 || Math.abs(rounded) >= 1e6);
  return small ? rounded.toExponential() : String(rounded);
}

function axis(name: string, gap: number) {
  return {
    name,
    nameLocation: "middle" as const,
    nameGap: gap,
    nameTextStyle: { color: INK, fontSize: 13 },
    axisLabel: { color: INK, fontSize: 12, formatter: tick, hideOverlap: true },
    axisLine: { show: true, lineStyle: { color: INK } },
    axisTick: { show: true, lineStyle: { color: INK } },
    splitLine: { show: true, lineStyle: { color: "#e6e6e6" } },
  };
}

function line({ name, points, dashed, faint }: Series, color: string) {
  return {
    type: "line" as const,
    name,
    data: points.map(([x, y]) => [x, Number.isFinite(y) ? y : "-"]),
    color,
    // A lone point would draw no line.
    showSymbol: points.length === 1,
    symbol: "circle",
    symbolSize: 7,
    // Thins a long series to about one point per pixel and keeps its peaks.
    sampling: "lttb" as const,
    lineStyle: {
      color,
      width: faint ? 1 : 2,
      opacity: faint ? 0.35 : 1,
      type: dashed ? "dashed" as const : "solid" as const,
    },
    itemStyle: { color, opacity: faint ? 0.35 : 1 },
  };
}

const ITEM_GAP = 26;
const ITEM_WIDTH = 28;

/** Pixels from one row of the legend to the next: a line of text and the gap. */
const LEGEND_ROW = 14 + ITEM_GAP;

/** Rows that the names take in a legend so wide, with 6 pixels for a letter, rather too many. */
function legendRows(series: readonly Series[], width: number): number {
  let [rows, x] = [1, 0];
  for (const { name } of series) {
    const item = ITEM_WIDTH + 5 + 6 * name.length;
    if (x > 0 && x + item > width) [rows, x] = [rows + 1, 0];
    x += item + ITEM_GAP;
  }
  return rows;
}

/**
 * Draw a line chart on white as a whole SVG document. The same input gives the same text. Needs no
 * permission. Throws RangeError for an empty chart or series, an x that falls or is not finite, a
 * size out of range, or a y that a logarithmic axis cannot show; TypeError for repeated names.
 *
 * @example
 * ```ts
 * const raw: Point[] = [[0, 4], [1, 2], [2, 3], [3, 1]];
 * const svg = lineChart({
 *   title: "Training loss",
 *   xLabel: "step",
 *   yLabel: "loss per caption",
 *   series: [
 *     { name: "each step", points: raw, faint: true },
 *     { name: "smoothed", points: smoothed(raw, 3) },
 *   ],
 * });
 * if (!svg.startsWith("<svg") || !svg.includes("smoothed")) throw new Error(svg);
 * ```
 */
export function lineChart(chart: LineChart): string {
  const { width = 720, height = 400 } = chart;
  check(chart, width, height);
  const color = colors(chart.series);
  const legend = LEGEND_ROW * (legendRows(chart.series, width - 32) - 1); // what more than one row takes
  const canvas = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width,
    height: height + legend,
  });
  canvas.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: "system-ui, 'Helvetica Neue', Arial, sans-serif" },
    title: { text: chart.title, left: 16, top: 12, textStyle: { color: INK, fontSize: 16 } },
    legend: {
      top: 40,
      left: 16,
      // Wide: without a browser the library takes texts for a little shorter than they are.
      itemGap: ITEM_GAP,
      itemWidth: ITEM_WIDTH,
      itemHeight: 3,
      textStyle: { color: INK, fontSize: 12 },
      data: chart.series.map(({ name, dashed }) => ({ name, icon: dashed ? DASHES : "rect" })),
    },
    grid: { left: 72, right: 28, top: 76 + legend, bottom: 56 },
    xAxis: {
      type: "value",
      scale: true,
      max: "dataMax",
      // No ticks between steps or epochs.
      minInterval: chart.series.every(({ points }) => points.every(([x]) => Number.isInteger(x)))
        ? 1
        : 0,
      ...axis(chart.xLabel, 32),
    },
    yAxis: { type: chart.logY ? "log" : "value", scale: true, ...axis(chart.yLabel, 50) },
    series: chart.series.map((series, i) => line(series, color[i])),
  });
  const svg = canvas.renderToSVGString();
  canvas.dispose();
  return still(svg);
}

/**
 * Take out what only a browser with a mouse would use, and the numbers that ECharts counts through
 * all charts of a process: equal charts then are equal texts.
 */
function still(svg: string): string {
  return svg
    .replace(/<style ?>[^]*?<\/style>\n?/, "")
    .replaceAll(/ (class|ecmeta_\w+|pointer-events)="[^"]*"/g, "")
    .replaceAll(/\bzr\d+-c\d+/g, "clip");
}

/**
 * Smooth a series for the eye: each y becomes the mean of the `window` points around it (fewer at
 * both ends, and as many before it as after), so that the line does not lag behind the values. A y
 * that is not finite is left out of the means and stays as it is. Without `window` it is a twentieth
 * of the points, at least 9. Throws RangeError for a window that is not odd and at least 1.
 *
 * @example
 * ```ts
 * const line = smoothed([[0, 1], [1, 5], [2, 3]], 3);
 * if (line.map(([, y]) => y).join() !== "1,3,3") throw new Error(`${line}`);
 * ```
 */
export function smoothed(
  points: readonly Point[],
  window: number = Math.max(9, 2 * Math.round(points.length / 40) + 1),
): Point[] {
  if (!Number.isSafeInteger(window) || window < 1 || window % 2 === 0) {
    throw new RangeError(`A smoothing window is an odd number of points, and not ${window}`);
  }
  // sums[i] and counts[i] hold the finite values before point i.
  const sums = new Float64Array(points.length + 1);
  const counts = new Int32Array(points.length + 1);
  points.forEach(([, y], i) => {
    const finite = Number.isFinite(y);
    sums[i + 1] = sums[i] + (finite ? y : 0);
    counts[i + 1] = counts[i] + (finite ? 1 : 0);
  });
  return points.map(([x, y], i) => {
    if (!Number.isFinite(y)) return [x, y];
    const reach = Math.min((window - 1) / 2, i, points.length - 1 - i);
    const [from, to] = [i - reach, i + reach + 1];
    return [x, (sums[to] - sums[from]) / (counts[to] - counts[from])];
  });
}
