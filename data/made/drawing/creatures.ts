/**
 * Small animals of a garden from above, other than ants and bees, and a snail. Each is drawn around the
 * origin, from -1 to 1 with the head at the top, and each call draws another one.
 *
 * @module
 */
import type { RandomStream } from "../../rng.ts";
import type { Pen } from "./canvas.ts";
import { between, type Color, happens, mix, muted, type Paint, unlike, vivid } from "./color.ts";
import { ellipsePoints, type Point, smooth } from "./outlines.ts";

const WHITE: Color = [0.95, 0.96, 0.97];
const BLACK: Color = [0.06, 0.05, 0.06];

/** Legs with one knee at both sides, from `wide` apart, at the heights `at`. */
function legs(pen: Pen, stream: RandomStream, { at, wide, reach, thick, color }: {
  at: readonly number[];
  wide: number;
  reach: number;
  thick: number;
  color: Color;
}): void {
  const last = at.length - 1;
  for (const side of [-1, 1]) {
    at.forEach((y, pair) => {
      const ahead = (2 * pair / last - 1) * reach * 0.7 + between(stream, -0.1, 0.1);
      const points: Point[] = [
        [side * wide * 0.5, y],
        [side * (wide + 0.55 * reach), y + 0.5 * ahead - 0.05],
        [side * (wide + between(stream, 0.85, 1.1) * reach), y + 1.3 * ahead],
      ];
      pen.line(points, [thick, thick * 0.6], color);
    });
  }
}

/** A beetle with a round back that is split in two, plain, spotted or striped. */
export function beetle(pen: Pen, stream: RandomStream, behind: Color): void {
  const back = unlike(behind, () => vivid(stream));
  const dark = mix(back, BLACK, between(stream, 0.65, 1));
  const wide = between(stream, 0.45, 0.68);
  const reach = between(stream, 0.2, 0.42);
  const thick = between(stream, 0.06, 0.1);
  legs(pen, stream, { at: [-0.2, 0.1, 0.4], wide: wide * 0.9, reach, thick, color: dark });
  for (const side of [-1, 1]) {
    const feeler: Point[] = [[side * 0.1, -0.75], [side * 0.2, -0.9], [side * 0.36, -1]];
    pen.line(smooth(feeler, false), 0.05, dark);
  }
  pen.ellipse(0, -0.7, 0.24, 0.2, dark);
  pen.ellipse(0, -0.48, wide * 0.72, 0.24, mix(dark, back, between(stream, 0, 0.6)));
  const period = between(stream, 0.16, 0.3);
  const kind = stream.integer(3);
  const marks = kind === 1 ? mix(back, WHITE, 0.6) : dark;
  const paint: Paint = (x, y) => {
    if (kind === 2) return Math.sin(2 * Math.PI * x / period) > 0.2 ? marks : back;
    return mix(back, WHITE, Math.max(0, 0.35 - Math.hypot(x + 0.2, y - 0.05)));
  };
  pen.ellipse(0, 0.2, wide, 0.68, paint);
  if (kind !== 2 && happens(stream, 0.8)) {
    for (const side of [-1, 1]) {
      for (const [x, y] of [[0.5, -0.12], [0.62, 0.25], [0.35, 0.55]]) {
        const radius = between(stream, 0.08, 0.14);
        pen.ellipse(side * x * wide, y, radius, radius, marks);
      }
    }
  }
  pen.line([[0, -0.42], [0, 0.85]], 0.045, dark);
}

/** A spider with eight long legs. */
export function spider(pen: Pen, stream: RandomStream, behind: Color): void {
  const body = unlike(behind, () => happens(stream, 0.5) ? muted(stream) : vivid(stream));
  const dark = mix(body, BLACK, between(stream, 0.2, 0.6));
  const reach = between(stream, 0.6, 0.85);
  const thick = between(stream, 0.05, 0.09);
  legs(pen, stream, { at: [-0.3, -0.22, -0.12, -0.04], wide: 0.14, reach, thick, color: dark });
  const wide = between(stream, 0.26, 0.42);
  const length = wide * between(stream, 1, 1.35);
  pen.ellipse(0, 0.02 + length, wide, length, body);
  pen.ellipse(0, -0.25, 0.2, 0.25, dark);
  const mark = mix(body, happens(stream, 0.5) ? WHITE : BLACK, 0.6);
  if (happens(stream, 0.7)) {
    pen.ellipse(0, length, wide * 0.25, length * 0.6, mark);
    pen.ellipse(0, length, wide * 0.6, length * 0.15, mark);
  }
  for (const x of [-0.07, 0.07]) pen.ellipse(x, -0.44, 0.04, 0.04, mix(WHITE, dark, 0.3));
}

/** A dragonfly with a long body in rings and two pairs of narrow wings. */
export function dragonfly(pen: Pen, stream: RandomStream, behind: Color): void {
  const body = unlike(behind, () => vivid(stream));
  const dark = mix(body, BLACK, between(stream, 0.5, 0.9));
  const period = between(stream, 0.14, 0.24);
  const rings: Paint = (_, y) => Math.sin(2 * Math.PI * y / period) > 0.3 ? dark : body;
  const glass = mix(WHITE, vivid(stream), between(stream, 0, 0.4));
  const opacity = between(stream, 0.45, 0.85);
  const back = between(stream, -0.1, 0.35);
  for (const flip of [false, true]) {
    const half = pen.at({ flip });
    for (const [y, angle, long] of [[-0.42, back - 0.25, 0.95], [-0.26, back + 0.2, 0.88]]) {
      const wing = half.at({ x: 0.05, y, angle });
      const wide = between(stream, 0.1, 0.15);
      const outline: Point[] = [[0, 0], [long * 0.7, -wide], [long, 0], [long * 0.6, wide * 0.8]];
      wing.fill(smooth(outline), glass, opacity);
      wing.line([[0, 0], [long * 0.95, -0.02]], 0.03, dark, 0.8);
    }
  }
  const tail = between(stream, 0.06, 0.1);
  pen.fill(ellipsePoints(0, 0.35, tail, 0.64), rings);
  pen.ellipse(0, -0.38, 0.13, 0.26, body);
  const eyes = unlike(body, () => vivid(stream));
  for (const x of [-0.08, 0.08]) pen.ellipse(x, -0.68, 0.1, 0.1, eyes);
}

/** A snail from the side, with its house on its back. */
export function snail(pen: Pen, stream: RandomStream, behind: Color): void {
  const skin = unlike(behind, () => muted(stream));
  const shell = unlike(skin, () => unlike(behind, () => vivid(stream)));
  const other = mix(shell, happens(stream, 0.5) ? WHITE : BLACK, between(stream, 0.4, 0.8));
  const foot: Point[] = [[-0.95, 0.75], [-0.3, 0.66], [0.35, 0.64], [0.72, 0.35], [0.78, -0.1]];
  pen.line(smooth(foot, false), [0.08, 0.34], skin);
  for (const [x, y] of [[0.62, -0.8], [0.98, -0.7]]) {
    pen.line([[0.78, -0.1], [x, y]], 0.07, skin);
    pen.ellipse(x, y, 0.07, 0.07, mix(skin, BLACK, 0.6));
  }
  const turns = between(stream, 2, 3.2);
  const radius = between(stream, 0.5, 0.64);
  const [cx, cy] = [-0.12, -0.02];
  const spiral: Paint = (x, y) => {
    const [u, v] = [x - cx, y - cy];
    const place = turns * Math.hypot(u, v) / radius - Math.atan2(v, u) / (2 * Math.PI);
    return place - Math.floor(place) < 0.3 ? other : shell;
  };
  pen.ellipse(cx, cy, radius, radius * between(stream, 0.9, 1.05), spiral);
}
