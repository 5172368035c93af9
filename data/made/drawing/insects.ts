/**
 * Ants and bees from above, on the grounds of a garden. Each is drawn around the origin, from -1 to 1 with
 * the head at the top, and each call draws another one.
 *
 * @module
 */
import type { RandomStream } from "../../rng.ts";
import type { Pen } from "./canvas.ts";
import { between, type Color, hsl, mix, type Paint, unlike } from "./color.ts";
import { type Point, smooth } from "./outlines.ts";

const WHITE: Color = [0.95, 0.96, 0.97];
const BLACK: Color = [0.06, 0.05, 0.05];

/** Three pairs of legs with knees, at the sides of a body that is `wide`. */
function legs(pen: Pen, stream: RandomStream, { at, wide, reach, thick, color }: {
  at: readonly number[];
  wide: number;
  reach: number;
  thick: number;
  color: Color;
}): void {
  for (const side of [-1, 1]) {
    at.forEach((y, pair) => {
      const ahead = (pair - 1) * reach * 0.55 + between(stream, -0.12, 0.12);
      const long = reach * between(stream, 0.85, 1.1);
      const points: Point[] = [
        [side * wide * 0.5, y],
        [side * (wide + 0.5 * long), y + 0.4 * ahead - 0.06],
        [side * (wide + 0.8 * long), y + ahead],
        [side * (wide + long), y + 1.35 * ahead + 0.05],
      ];
      pen.line(points, [thick, thick * 0.6], color);
    });
  }
}

/** An ant: head, thin waist and large hind part in one dark color, long legs, bent feelers. */
export function ant(pen: Pen, stream: RandomStream, behind: Color): void {
  const body = unlike(behind, () => {
    return hsl(between(stream, 0, 0.12), between(stream, 0.1, 0.7), between(stream, 0.05, 0.4));
  });
  const dark = mix(body, BLACK, 0.45);
  const light = mix(body, WHITE, between(stream, 0.1, 0.3));
  const thick = between(stream, 0.045, 0.08);
  legs(pen, stream, {
    at: [-0.3, -0.15, 0],
    wide: 0.1,
    reach: between(stream, 0.5, 0.75),
    thick,
    color: dark,
  });
  const head = between(stream, 0.16, 0.23);
  for (const side of [-1, 1]) {
    const elbow = between(stream, 0.22, 0.36);
    const feeler: Point[] = [[side * 0.08, -0.72], [side * elbow, -0.8], [
      side * (elbow + 0.05),
      -1,
    ]];
    pen.line(feeler, thick * 0.7, dark);
  }
  const hind = between(stream, 0.23, 0.34);
  const length = hind * between(stream, 1.2, 1.6);
  pen.line([[0, -0.6], [0, 0.4]], 0.09, dark);
  pen.ellipse(0, -0.2, between(stream, 0.11, 0.17), 0.24, body);
  pen.ellipse(0, 0.12, 0.07, 0.08, dark);
  pen.ellipse(0, 0.22 + length, hind, length, body);
  pen.ellipse(-hind * 0.3, 0.1 + length, hind * 0.3, length * 0.45, light, 0.5);
  pen.ellipse(0, -0.62, head, head * 1.1, body);
  for (const x of [-head * 0.7, head * 0.7]) pen.ellipse(x, -0.68, 0.04, 0.06, BLACK);
}

/** A bee: a furry middle, a striped hind part, two pairs of clear wings, short legs. */
export function bee(pen: Pen, stream: RandomStream): void {
  const hue = between(stream, 0.07, 0.15);
  const yellow = hsl(hue, between(stream, 0.45, 0.95), between(stream, 0.32, 0.58));
  const dark = hsl(hue, 0.4, between(stream, 0.05, 0.16));
  const fur = mix(yellow, dark, between(stream, 0.1, 0.6));
  legs(pen, stream, {
    at: [-0.35, -0.2, -0.05],
    wide: 0.2,
    reach: between(stream, 0.25, 0.5),
    thick: between(stream, 0.06, 0.09),
    color: dark,
  });
  for (const side of [-0.08, 0.08]) {
    pen.line([[side, -0.7], [side * 3, -0.95]], 0.05, dark);
  }
  const wide = between(stream, 0.25, 0.34);
  const period = between(stream, 0.2, 0.3);
  const phase = stream.uniform();
  const striped: Paint = (_, y) => {
    const wave = Math.sin(2 * Math.PI * (y / period + phase));
    return mix(dark, yellow, Math.min(Math.max(0.5 + 2 * wave, 0), 1));
  };
  const tip = between(stream, 0.75, 0.95);
  const hind: Point[] = [[0, 0], [wide, 0.2], [wide * 0.9, 0.5], [0, tip], [-wide * 0.9, 0.5], [
    -wide,
    0.2,
  ]];
  pen.fill(smooth(hind), striped);
  pen.ellipse(0, -0.2, wide * 0.95, 0.27, fur);
  pen.ellipse(0, -0.22, wide * 0.55, 0.16, mix(fur, dark, 0.5), 0.7);
  pen.ellipse(0, -0.58, 0.19, 0.15, dark);
  const spread = between(stream, 0.3, 1.1);
  const clear = between(stream, 0.35, 0.65);
  const glass = mix(WHITE, yellow, between(stream, 0, 0.25));
  for (const flip of [false, true]) {
    const half = pen.at({ flip });
    for (const [long, angle, y] of [[0.6, spread + 0.5, -0.12], [0.85, spread, -0.25]]) {
      const wing = half.at({ x: 0.1, y, angle: angle - 0.4 });
      const outline: Point[] = [[0, 0], [long * 0.6, -0.17], [long, 0], [long * 0.6, 0.15]];
      wing.fill(smooth(outline), glass, clear);
      wing.line([[0, 0], [long * 0.9, 0]], 0.025, dark, 0.6);
    }
  }
}
