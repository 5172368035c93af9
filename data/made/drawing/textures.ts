/**
 * Textures that fill a whole picture. Each call draws another one: its colors, scale, direction and
 * how uneven it is.
 *
 * @module
 */
import type { RandomStream } from "../../rng.ts";
import { between, type Color, happens, hsl, mix, muted, type Shader, unlike } from "./color.ts";
import type { Point } from "./outlines.ts";

/** A number for each place. */
export type Field = (x: number, y: number) => number;

/** The fraction of a number, from 0 to less than 1. */
const fraction = (value: number) => value - Math.floor(value);

/** From 0 to 1 as `value` goes from `from` to `to`. */
const step = (from: number, to: number, value: number) => {
  const t = Math.min(Math.max((value - from) / (to - from), 0), 1);
  return t * t * (3 - 2 * t);
};

/** Smooth hills between 0 and 1, about `cells` of them in a unit. */
export function hills(stream: RandomStream, cells: number): Field {
  const size = 16; // then it repeats
  const heights = Float32Array.from({ length: size * size }, () => stream.uniform());
  const height = (column: number, row: number) =>
    heights[(row & (size - 1)) * size + (column & (size - 1))];
  const [left, top] = [between(stream, 0, size), between(stream, 0, size)];
  return (x, y) => {
    const [u, v] = [x * cells + left, y * cells + top];
    const [column, row] = [Math.floor(u), Math.floor(v)];
    const [across, down] = [step(0, 1, u - column), step(0, 1, v - row)];
    const above = height(column, row) * (1 - across) + height(column + 1, row) * across;
    const below = height(column, row + 1) * (1 - across) + height(column + 1, row + 1) * across;
    return above * (1 - down) + below * down;
  };
}

/** Colors that can be told apart, dark and light in turn. */
function palette(stream: RandomStream, count: number): Color[] {
  const phase = stream.integer(2);
  const draw = (i: number) => {
    const lightness = (i + phase) % 2 === 0
      ? between(stream, 0.1, 0.42)
      : between(stream, 0.55, 0.92);
    return hsl(stream.uniform(), between(stream, 0.1, 1), lightness);
  };
  const colors = [draw(0)];
  while (colors.length < count) {
    colors.push(unlike(colors[colors.length - 1], () => draw(colors.length)));
  }
  return colors;
}

/** Places turned, moved, and a little bent. */
function frame(stream: RandomStream, bent = 0.03): (x: number, y: number) => Point {
  const angle = between(stream, 0, 2 * Math.PI);
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  const [bendX, bendY] = [hills(stream, 3), hills(stream, 3)];
  const amount = between(stream, 0, 2 * bent);
  return (x, y) => {
    const u = x - 0.5 + amount * (bendX(x, y) - 0.5);
    const v = y - 0.5 + amount * (bendY(x, y) - 0.5);
    return [cos * u + sin * v, cos * v - sin * u];
  };
}

/** Bands of the colors in turn, with soft edges, along a field that grows by 1 a round. */
function bands(colors: readonly Color[], softness: number, along: Field): Shader {
  const count = colors.length;
  return (x, y) => {
    const place = fraction(along(x, y)) * count;
    const band = Math.floor(place);
    const share = step(1 - softness, 1, place - band);
    return mix(colors[band], colors[(band + 1) % count], share);
  };
}

/** Straight bands of two or three colors. */
export function stripes(stream: RandomStream): Shader {
  const colors = palette(stream, 2 + stream.integer(2));
  const place = frame(stream);
  const period = between(stream, 0.06, 0.13) * colors.length;
  return bands(colors, between(stream, 0.1, 0.5), (x, y) => place(x, y)[0] / period);
}

/** Bands that wind to and fro. */
export function waves(stream: RandomStream): Shader {
  const colors = palette(stream, 2 + stream.integer(2));
  const place = frame(stream, 0.02);
  const period = between(stream, 0.07, 0.14) * colors.length;
  const length = between(stream, 0.2, 0.42);
  const reach = length * between(stream, 0.18, 0.34);
  return bands(colors, between(stream, 0.1, 0.5), (x, y) => {
    const [u, v] = place(x, y);
    return (u + reach * Math.sin(2 * Math.PI * v / length)) / period;
  });
}

/** A board of squares, or of rhombs. */
export function checks(stream: RandomStream): Shader {
  const [a, b] = palette(stream, 2);
  const place = frame(stream);
  const side = between(stream, 0.07, 0.17);
  const slant = happens(stream, 0.3) ? between(stream, -0.5, 0.5) : 0;
  const edge = 0.012 / side;
  const wave = (value: number) => {
    const at = fraction(value) * 2; // a light half and a dark one
    return step(0, edge, at) - step(1, 1 + edge, at);
  };
  return (x, y) => {
    const [u, v] = place(x, y);
    const [p, q] = [wave(u / side / 2), wave((v + slant * u) / side / 2)];
    return mix(a, b, p * (1 - q) + q * (1 - p));
  };
}

/** Round dots in rows, level or shifted by half. */
export function dots(stream: RandomStream): Shader {
  const [ground, a, b] = palette(stream, 3);
  const place = frame(stream, 0.04);
  const apart = between(stream, 0.12, 0.26);
  const radius = between(stream, 0.24, 0.4);
  const shift = happens(stream, 0.5) ? 0.5 : 0;
  const twoColors = happens(stream, 0.4);
  const edge = 0.015 / apart;
  return (x, y) => {
    const [u, v] = place(x, y);
    const row = Math.floor(v / apart);
    const across = u / apart + shift * (row & 1);
    const column = Math.floor(across);
    const far = Math.hypot(across - column - 0.5, v / apart - row - 0.5);
    const color = twoColors && (column + row & 1) === 1 ? b : a;
    return mix(color, ground, step(radius - edge, radius + edge, far));
  };
}

/** The middle of rings and spirals, in or near the picture. */
function middle(stream: RandomStream): Point {
  return [between(stream, 0.15, 0.85), between(stream, 0.15, 0.85)];
}

/** Rings around a place, round or oval. */
export function rings(stream: RandomStream): Shader {
  const colors = palette(stream, 2 + stream.integer(2));
  const [cx, cy] = middle(stream);
  const [turned, oval] = [frame(stream, 0.02), between(stream, 0.7, 1)];
  const [mx, my] = turned(cx, cy);
  const period = between(stream, 0.06, 0.12) * colors.length;
  const phase = stream.uniform();
  return bands(colors, between(stream, 0.1, 0.5), (x, y) => {
    const [u, v] = turned(x, y);
    return Math.hypot(u - mx, (v - my) / oval) / period + phase;
  });
}

/** One to four arms wound around a place. */
export function spiral(stream: RandomStream): Shader {
  const colors = palette(stream, 2);
  const [cx, cy] = middle(stream);
  const arms = (1 + stream.integer(4)) * (happens(stream, 0.5) ? 1 : -1);
  const period = between(stream, 0.14, 0.26) * Math.sqrt(Math.abs(arms));
  const phase = stream.uniform();
  return bands(colors, between(stream, 0.1, 0.5), (x, y) => {
    const [u, v] = [x - cx, y - cy];
    return Math.hypot(u, v) / period + arms * Math.atan2(v, u) / (2 * Math.PI) + phase;
  });
}

/** Courses of bricks with mortar between, each brick a little different. */
export function bricks(stream: RandomStream): Shader {
  const [any, mortar] = palette(stream, 2);
  const clay = hsl(between(stream, -0.02, 0.1), 0.6, 0.4);
  const brick = happens(stream, 0.5) ? any : unlike(mortar, () => clay);
  const angle = happens(stream, 0.6) ? between(stream, -0.2, 0.2) : between(stream, 0, Math.PI);
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  const high = between(stream, 0.07, 0.15);
  const long = high * between(stream, 1.9, 2.8);
  const gap = between(stream, 0.08, 0.16);
  const [left, top] = [stream.uniform(), stream.uniform()];
  const tones = Float32Array.from({ length: 97 }, () => between(stream, -0.12, 0.12));
  const edge = 0.01 / high;
  return (x, y) => {
    const v = (cos * y - sin * x) / high + top;
    const course = Math.floor(v);
    const u = (cos * x + sin * y) / long + left + 0.5 * (course & 1);
    const column = Math.floor(u);
    const across = Math.min(u - column, column + 1 - u) * long / high;
    const inside = Math.min(across, v - course, course + 1 - v);
    const tone = tones[Math.abs(course * 31 + column * 17) % 97];
    const color: Color = [brick[0] + tone, brick[1] + tone, brick[2] + tone];
    return mix(mortar, color, step(gap / 2 - edge, gap / 2 + edge, inside));
  };
}

/** Patches of many colors with straight seams, each nearest to its own point. */
export function patchwork(stream: RandomStream): Shader {
  const side = between(stream, 0.14, 0.26);
  const count = Math.ceil(1 / side) + 3;
  const colors = palette(stream, 5);
  const cells = Array.from({ length: count * count }, (_, i) => ({
    x: (i % count - 1 + between(stream, 0.05, 0.95)) * side,
    y: (Math.floor(i / count) - 1 + between(stream, 0.05, 0.95)) * side,
    color: colors[stream.integer(colors.length)],
  }));
  const seam = happens(stream, 0.5) ? muted(stream) : undefined;
  return (x, y) => {
    const [column, row] = [Math.floor(x / side) + 1, Math.floor(y / side) + 1];
    let [nearest, second] = [Infinity, Infinity];
    let color = colors[0];
    let other = colors[0];
    for (let r = Math.max(row - 2, 0); r <= Math.min(row + 2, count - 1); r++) {
      for (let c = Math.max(column - 2, 0); c <= Math.min(column + 2, count - 1); c++) {
        const cell = cells[r * count + c];
        const [dx, dy] = [cell.x - x, cell.y - y];
        const far = Math.sqrt(dx * dx + dy * dy);
        if (far < nearest) {
          [second, other] = [nearest, color];
          [nearest, color] = [far, cell.color];
        } else if (far < second) [second, other] = [far, cell.color];
      }
    }
    const inside = step(0, 0.02, second - nearest);
    return seam ? mix(seam, color, inside) : mix(mix(other, color, 0.5), color, inside);
  };
}
