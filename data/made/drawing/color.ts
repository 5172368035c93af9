/**
 * Colors for drawings, and drawing lots for them.
 *
 * @module
 */
import type { RandomStream } from "../../rng.ts";

/** Red, green and blue from 0 to 1. */
export type Color = readonly [red: number, green: number, blue: number];

/** The color of each place. */
export type Shader = (x: number, y: number) => Color;

/** What is painted with: one color, or one for each place. */
export type Paint = Color | Shader;

/** A color by its hue in turns (0 red, 1/3 green, 2/3 blue), its saturation and its lightness, 0 to 1. */
export function hsl(hue: number, saturation: number, lightness: number): Color {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  const channel = (offset: number) => {
    const place = (((offset / 12 + hue) % 1 + 1) % 1) * 12;
    return lightness - reach * Math.max(-1, Math.min(place - 3, 9 - place, 1));
  };
  return [channel(0), channel(8), channel(4)];
}

/** From `a` (share 0) to `b` (share 1). */
export function mix(a: Color, b: Color, share: number): Color {
  return [
    a[0] + share * (b[0] - a[0]),
    a[1] + share * (b[1] - a[1]),
    a[2] + share * (b[2] - a[2]),
  ];
}

/** A number from `least` to `most`, each equally likely. */
export function between(stream: RandomStream, least: number, most: number): number {
  return least + (most - least) * stream.uniform();
}

/** One of several. */
export function pick<T>(stream: RandomStream, options: readonly T[]): T {
  return options[stream.integer(options.length)];
}

/** True so often. */
export function happens(stream: RandomStream, probability: number): boolean {
  return stream.uniform() < probability;
}

/** A strong color, of any hue or of one near `hue`. */
export function vivid(stream: RandomStream, hue?: number): Color {
  const place = hue === undefined ? stream.uniform() : hue + between(stream, -0.04, 0.04);
  return hsl(place, between(stream, 0.55, 1), between(stream, 0.32, 0.62));
}

/** A weak color of any hue. */
export function muted(stream: RandomStream): Color {
  return hsl(stream.uniform(), between(stream, 0.05, 0.45), between(stream, 0.25, 0.85));
}

/** How far two colors are apart: 0 to about 1. */
export function distance(a: Color, b: Color): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) / Math.sqrt(3);
}

/** What `draw` gives, drawn again (a few times) while it is hard to tell from `other`. */
export function unlike(other: Color, draw: () => Color): Color {
  let color = draw();
  for (let i = 0; i < 8 && distance(color, other) < 0.25; i++) color = draw();
  return color;
}
