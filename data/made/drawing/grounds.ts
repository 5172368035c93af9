/**
 * What lies behind and around a drawn thing: a ground, and odds and ends on it.
 *
 * @module
 */
import type { RandomStream } from "../../rng.ts";
import type { Pen } from "./canvas.ts";
import { between, type Color, happens, hsl, mix, muted, pick, type Shader } from "./color.ts";
import { corners, type Point, smooth } from "./outlines.ts";
import { bricks, checks, dots, hills, stripes, waves } from "./textures.ts";

/** A ground and the color that most of it has. */
export interface Ground {
  shader: Shader;
  color: Color;
}

/** Two like colors in blotches, from one side to the other, or as sky and land. */
function plain(stream: RandomStream, from: Color): Shader {
  const shift = () => between(stream, -0.14, 0.14);
  const to: Color = [from[0] + shift(), from[1] + shift(), from[2] + shift()];
  const blotches = hills(stream, between(stream, 2, 14));
  const fine = hills(stream, between(stream, 15, 40));
  const roughness = between(stream, 0, 0.12);
  const kind = stream.integer(3);
  const angle = between(stream, 0, 2 * Math.PI);
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  const horizon = between(stream, 0.35, 0.8);
  return (x, y) => {
    const share = kind === 0
      ? blotches(x, y)
      : kind === 1
      ? 0.5 + cos * (x - 0.5) + sin * (y - 0.5)
      : y + 0.1 * blotches(x, 0) < horizon
      ? 0
      : 1.6;
    const [red, green, blue] = mix(from, to, share);
    const tone = roughness * (fine(x, y) - 0.5);
    return [red + tone, green + tone, blue + tone];
  };
}

/** A ground around a color, which is any if left out; now and then a faint texture lies on it. */
export function ground(stream: RandomStream, color: Color = muted(stream)): Ground {
  const base = plain(stream, color);
  if (happens(stream, 0.7)) return { shader: base, color };
  const texture = pick(stream, [stripes, checks, dots, waves, bricks])(stream);
  const share = between(stream, 0.08, 0.28);
  return { shader: (x, y) => mix(base(x, y), texture(x, y), share), color };
}

/** The color of grass, earth, sand, stone, bark or a petal. */
export function gardenColor(stream: RandomStream): Color {
  const [hue, saturation, least, most] = pick(stream, [
    [0.27, 0.5, 0.2, 0.6],
    [0.3, 0.4, 0.25, 0.7],
    [0.09, 0.35, 0.3, 0.75],
    [0.12, 0.3, 0.5, 0.85],
    [0.6, 0.06, 0.4, 0.85],
    [0.9, 0.5, 0.5, 0.85],
    [0.15, 0.6, 0.5, 0.8],
  ]);
  const turn = between(stream, -0.04, 0.04);
  return hsl(hue + turn, saturation * between(stream, 0.5, 1.3), between(stream, least, most));
}

/** Odds and ends: blots, sticks and splinters, `count` of them, of colors near the ground's. */
export function clutter(
  pen: Pen,
  stream: RandomStream,
  count: number,
  { color, apart = 0.3 }: { color: Color; apart?: number },
): void {
  for (let i = 0; i < count; i++) {
    const [x, y] = [between(stream, 0, 1), between(stream, 0, 1)];
    const other = mix(
      color,
      hsl(stream.uniform(), 0.7, stream.uniform()),
      apart * stream.uniform(),
    );
    const opacity = between(stream, 0.4, 1);
    const size = between(stream, 0.02, 0.11);
    const turned = pen.at({ x, y, size, angle: between(stream, 0, 2 * Math.PI) });
    const kind = stream.integer(4);
    if (kind === 0) turned.ellipse(0, 0, 1, between(stream, 0.4, 1), other, opacity);
    else if (kind === 1) {
      const bent: Point[] = [[-2, 0], [0, between(stream, -0.8, 0.8)], [2, 0]];
      turned.line(smooth(bent, false), between(stream, 0.2, 0.5), other, opacity);
    } else if (kind === 2) {
      const radii = [1, between(stream, 0.4, 1), between(stream, 0.6, 1.2)];
      turned.fill(corners(3 + stream.integer(3), radii), other, opacity);
    } else {
      const blade: Point[] = [[-1.4, 0], [0, -0.45], [1.6, 0], [0, 0.45]];
      turned.fill(smooth(blade), other, opacity);
    }
  }
}
