/**
 * A canvas that shapes are painted on, with smooth edges.
 *
 * @module
 */
import type { RgbImage } from "../../images/rgb_image.ts";
import { checkSize } from "../../images/rgb_image.ts";
import type { RandomStream } from "../../rng.ts";
import type { Color, Paint } from "./color.ts";
import { ellipsePoints, type Point } from "./outlines.ts";

/** So many lines of a row of pixels are looked at. */
const LINES = 4;
/** Along a line, places are counted in these parts of a pixel. */
const FINE = 256;

/** Where, how large and how turned something is drawn. */
export interface Placement {
  x?: number;
  y?: number;
  /** What 1 becomes. */
  size?: number;
  /** Radians, clockwise. */
  angle?: number;
  /** Left and right exchanged. */
  flip?: boolean;
  /** Width times this, height divided by it. */
  stretch?: number;
}

/** `[a, b, c, d, e, f]`: `(x, y)` becomes the pixel `(a x + c y + e, b x + d y + f)`. */
type Matrix = readonly [number, number, number, number, number, number];

/** A picture to draw on. */
export class Canvas {
  /** `[height, width, 3]`, from 0 to 1. */
  readonly #pixels: Float32Array;

  /** Black. A size that is not allowed is a RangeError. */
  constructor(readonly width: number, readonly height: number) {
    checkSize(width, height);
    this.#pixels = new Float32Array(3 * width * height);
  }

  /** A pen whose unit is the shorter side; `(0, 0)` is the corner on the left at the top. */
  get pen(): Pen {
    const unit = Math.min(this.width, this.height);
    return new Pen(this, [unit, 0, 0, unit, 0, 0]);
  }

  /** The color at a place in the units of {@linkcode pen}; outside, that at the nearest edge. */
  colorAt(x: number, y: number): Color {
    const unit = Math.min(this.width, this.height);
    const column = Math.min(Math.max(Math.floor(x * unit), 0), this.width - 1);
    const row = Math.min(Math.max(Math.floor(y * unit), 0), this.height - 1);
    const [red, green, blue] = this.#pixels.subarray(3 * (row * this.width + column));
    return [red, green, blue];
  }

  /** Paint over a pixel, with `share` of the new color. Called by pens. */
  blend(at: number, color: Color, share: number): void {
    const pixels = this.#pixels;
    for (let i = 0; i < 3; i++) pixels[at + i] += share * (color[i] - pixels[at + i]);
  }

  /** Let each pixel's brightness vary by so much (a standard deviation, roughly). */
  grain(stream: RandomStream, amount: number): void {
    const pixels = this.#pixels;
    for (let at = 0; at < pixels.length; at += 3) {
      const word = stream.uint32();
      // The sum of four bytes is nearly normal, with a deviation of 148.
      const sum = (word & 255) + (word >>> 8 & 255) + (word >>> 16 & 255) + (word >>> 24);
      const change = amount * (sum - 510) / 148;
      for (let i = 0; i < 3; i++) pixels[at + i] += change;
    }
  }

  /** The picture with 8 bits a channel. */
  toImage(): RgbImage {
    const data = new Uint8Array(this.#pixels.length);
    for (let i = 0; i < data.length; i++) {
      data[i] = Math.round(255 * Math.min(Math.max(this.#pixels[i], 0), 1));
    }
    return { width: this.width, height: this.height, data };
  }
}

/** Draws on a canvas, in units and directions of its own. */
export class Pen {
  readonly #canvas: Canvas;
  readonly #matrix: Matrix;

  constructor(canvas: Canvas, matrix: Matrix) {
    this.#canvas = canvas;
    this.#matrix = matrix;
  }

  /** A pen for what is drawn around `(x, y)`. */
  at({ x = 0, y = 0, size = 1, angle = 0, flip = false, stretch = 1 }: Placement): Pen {
    const [a, b, c, d] = this.#matrix;
    const [sin, cos] = [Math.sin(angle) * size, Math.cos(angle) * size];
    const across = (flip ? -1 : 1) * stretch;
    const [px, py] = this.#pixel(x, y);
    return new Pen(this.#canvas, [
      (a * cos + c * sin) * across,
      (b * cos + d * sin) * across,
      (c * cos - a * sin) / stretch,
      (d * cos - b * sin) / stretch,
      px,
      py,
    ]);
  }

  /** Paint the whole canvas. */
  cover(paint: Paint, opacity = 1): void {
    const { width, height } = this.#canvas;
    const shares = new Float32Array(width).fill(1);
    for (let row = 0; row < height; row++) this.#paintRow(row, 0, width, shares, paint, opacity);
  }

  /** Fill an outline. */
  fill(outline: readonly Point[], paint: Paint, opacity = 1): void {
    this.#paint([outline.map(([x, y]) => this.#pixel(x, y))], paint, opacity);
  }

  /** Fill an ellipse. */
  ellipse(x: number, y: number, rx: number, ry: number, paint: Paint, opacity = 1): void {
    this.fill(ellipsePoints(x, y, rx, ry), paint, opacity);
  }

  /** A line through points, round at its ends and corners, of one width or from one to another. */
  line(
    points: readonly Point[],
    width: number | readonly [from: number, to: number],
    paint: Paint,
    opacity = 1,
  ): void {
    const [from, to] = typeof width === "number" ? [width, width] : width;
    const last = Math.max(points.length - 1, 1);
    const radius = (i: number) => (from + (to - from) * i / last) / 2;
    const parts: Point[][] = [];
    points.forEach(([x, y], i) => {
      const r = radius(i);
      parts.push(ellipsePoints(x, y, r, r, 10));
      if (i === 0) return;
      const [x0, y0] = points[i - 1];
      const length = Math.hypot(x - x0, y - y0);
      if (length === 0) return;
      const [nx, ny] = [(y - y0) / length, (x0 - x) / length]; // turned as the ellipses are
      const r0 = radius(i - 1);
      parts.push([
        [x0 + nx * r0, y0 + ny * r0],
        [x + nx * r, y + ny * r],
        [x - nx * r, y - ny * r],
        [x0 - nx * r0, y0 - ny * r0],
      ]);
    });
    const inPixels = parts.map((part) => part.map(([px, py]) => this.#pixel(px, py)));
    this.#paint(inPixels, paint, opacity);
  }

  #pixel(x: number, y: number): Point {
    const [a, b, c, d, e, f] = this.#matrix;
    return [a * x + c * y + e, b * x + d * y + f];
  }

  /** Paint what any of the outlines, given in pixels, is wound around. */
  #paint(outlines: readonly (readonly Point[])[], paint: Paint, opacity: number): void {
    const { width, height } = this.#canvas;
    const { first, lines } = crossings(outlines, height);
    const shares = new Float32Array(width);
    let [left, right] = [width, 0];
    lines.forEach((line, i) => {
      line.sort((a, b) => a - b);
      let winding = 0;
      let from = 0;
      for (const crossing of line) {
        const x = Math.floor(crossing / 2) / FINE;
        if (winding === 0) from = x;
        winding += crossing % 2 === 0 ? -1 : 1;
        if (winding !== 0) continue;
        const [start, end] = [Math.max(from, 0), Math.min(x, width)];
        if (start >= end) continue;
        left = Math.min(left, Math.floor(start));
        right = Math.max(right, Math.ceil(end));
        for (let column = Math.floor(start); column < end; column++) {
          shares[column] += (Math.min(column + 1, end) - Math.max(column, start)) / LINES;
        }
      }
      if ((first + i) % LINES < LINES - 1 && i < lines.length - 1) return;
      this.#paintRow(Math.floor((first + i) / LINES), left, right, shares, paint, opacity);
      shares.fill(0, left, right);
      [left, right] = [width, 0];
    });
  }

  /** Paint the pixels of a row from `left` to before `right`, each with its share. */
  #paintRow(
    row: number,
    left: number,
    right: number,
    shares: Float32Array,
    paint: Paint,
    opacity: number,
  ): void {
    const [a, b, c, d, e, f] = this.#matrix;
    const area = a * d - b * c;
    const dy = row + 0.5 - f;
    for (let column = left; column < right; column++) {
      if (shares[column] === 0) continue;
      const dx = column + 0.5 - e;
      const color = typeof paint === "function"
        ? paint((d * dx - c * dy) / area, (a * dy - b * dx) / area)
        : paint;
      this.#canvas.blend(3 * (row * this.#canvas.width + column), color, shares[column] * opacity);
    }
  }
}

/**
 * Where outlines cross lines, of which each row of pixels has some: a list for each line from the `first`
 * on. A crossing is one number: its place in parts of a pixel, times two, and one more where it goes down.
 */
function crossings(
  outlines: readonly (readonly Point[])[],
  height: number,
): { first: number; lines: number[][] } {
  const nearest = (y: number) => Math.min(Math.max(Math.ceil(y * LINES - 0.5), 0), height * LINES);
  let [top, bottom] = [Infinity, -Infinity];
  for (const outline of outlines) {
    for (const point of outline) {
      top = Math.min(top, point[1]);
      bottom = Math.max(bottom, point[1]);
    }
  }
  const first = nearest(top);
  const lines = Array.from({ length: Math.max(nearest(bottom) - first, 0) }, (): number[] => []);
  for (const outline of outlines) {
    let [x0, y0] = outline[outline.length - 1];
    for (const [x1, y1] of outline) {
      const down = y0 < y1 ? 1 : 0;
      const slope = (x1 - x0) / (y1 - y0);
      const end = nearest(Math.max(y0, y1));
      for (let line = nearest(Math.min(y0, y1)); line < end; line++) {
        const x = x0 + slope * ((line + 0.5) / LINES - y0);
        lines[line - first].push(2 * Math.round(x * FINE) + down);
      }
      [x0, y0] = [x1, y1];
    }
  }
  return { first, lines };
}
