/**
 * Things that grow and live, and a star. Each is drawn around the origin, from -1 to 1, and each call
 * draws another one.
 *
 * @module
 */
import type { RandomStream } from "../../rng.ts";
import type { Pen } from "./canvas.ts";
import {
  between,
  type Color,
  happens,
  hsl,
  mix,
  muted,
  type Paint,
  unlike,
  vivid,
} from "./color.ts";
import { corners, ellipsePoints, type Point, smooth } from "./outlines.ts";

const WHITE: Color = [0.96, 0.96, 0.94];
const BLACK: Color = [0.08, 0.08, 0.1];

/** The color of leaves, by season. */
function foliage(stream: RandomStream): Color {
  const hue = happens(stream, 0.7) ? between(stream, 0.22, 0.4) : between(stream, 0.02, 0.14);
  return hsl(hue, between(stream, 0.4, 0.9), between(stream, 0.22, 0.5));
}

/** A tree with a trunk and a crown, round or pointed as a fir's. */
export function tree(pen: Pen, stream: RandomStream, behind: Color): void {
  const green = unlike(behind, () => foliage(stream));
  const bark = hsl(0.07, 0.4, between(stream, 0.18, 0.4));
  pen.line([[0, 0.95], [between(stream, -0.08, 0.08), 0]], [between(stream, 0.2, 0.3), 0.1], bark);
  if (happens(stream, 0.4)) {
    const tiers = 3 + stream.integer(2);
    for (let i = tiers - 1; i >= 0; i--) {
      const [top, wide] = [-0.95 + 0.42 * i, 0.38 + 0.16 * i];
      const tone = mix(green, i % 2 === 0 ? BLACK : WHITE, 0.12);
      pen.fill([[0, top], [wide, top + 0.6], [-wide, top + 0.6]], tone);
    }
    return;
  }
  for (const x of [-0.35, 0.3]) pen.line([[0, 0.4], [x, -0.1]], 0.08, bark);
  for (let i = 0; i < 26; i++) {
    const angle = between(stream, 0, 2 * Math.PI);
    const far = 0.5 * Math.sqrt(stream.uniform());
    const light = mix(green, i < 13 ? BLACK : WHITE, between(stream, 0, 0.3));
    const radius = between(stream, 0.16, 0.3);
    const [x, y] = [1.3 * far * Math.cos(angle), -0.35 + far * Math.sin(angle)];
    pen.ellipse(x, y, radius, radius * 0.9, light);
  }
}

/** A flower from above, with petals around a middle, perhaps with a stem. */
export function flower(pen: Pen, stream: RandomStream, behind: Color): void {
  const petal = unlike(behind, () => happens(stream, 0.2) ? WHITE : vivid(stream));
  const centre = unlike(petal, () => vivid(stream, happens(stream, 0.7) ? 0.13 : undefined));
  const count = 5 + stream.integer(7);
  const [long, wide] = [between(stream, 0.55, 0.85), between(stream, 0.7, 1.1) * 1.6 / count];
  if (happens(stream, 0.5)) {
    const stem: Point[] = [[0, 0], [0.1, 0.8], [0, 1.5]];
    pen.line(smooth(stem, false), 0.1, hsl(0.3, 0.6, 0.3));
  }
  const dark = mix(petal, BLACK, 0.25);
  const start = between(stream, 0, 2 * Math.PI);
  for (let i = 0; i < count; i++) {
    const turned = pen.at({ angle: start + 2 * Math.PI * i / count });
    const outline: Point[] = [[0.1, 0], [long * 0.6, -wide], [long + 0.12, 0], [long * 0.6, wide]];
    turned.fill(smooth(outline), i % 2 === 0 ? petal : mix(petal, dark, 0.6));
    turned.line([[0.2, 0], [long * 0.8, 0]], 0.035, dark, 0.7);
  }
  const radius = between(stream, 0.2, 0.32);
  pen.ellipse(0, 0, radius, radius, centre);
  for (let i = 0; i < 12; i++) {
    const [far, angle] = [radius * 0.75 * Math.sqrt(i / 12), i * 2.4];
    pen.ellipse(far * Math.cos(angle), far * Math.sin(angle), 0.03, 0.03, mix(centre, BLACK, 0.5));
  }
}

/** A toothed or a smooth leaf with veins. */
export function leaf(pen: Pen, stream: RandomStream, behind: Color): void {
  const green = unlike(behind, () => foliage(stream));
  const vein = mix(green, happens(stream, 0.5) ? WHITE : BLACK, 0.4);
  const wide = between(stream, 0.32, 0.55);
  const teeth = happens(stream, 0.5) ? between(stream, 0.06, 0.14) : 0;
  const steps = 14;
  const side = (sign: number): Point[] =>
    Array.from({ length: steps - 1 }, (_, i) => {
      const t = (i + 1) / steps;
      const reach = wide * Math.sin(Math.PI * Math.pow(t, 0.8)) * (1 - teeth * (i % 2) * 2);
      return [sign * reach, 0.75 - 1.7 * t];
    });
  const outline: Point[] = [[0, 0.75], ...side(1), [0, -0.98], ...side(-1).reverse()];
  pen.line([[0.05, 1], [0, 0.7]], 0.08, vein);
  pen.fill(outline, green);
  pen.line([[0, 0.8], [0, -0.9]], [0.07, 0.03], vein);
  for (const sign of [-1, 1]) {
    for (let y = 0.5; y > -0.6; y -= 0.25) {
      const reach = 0.8 * wide * Math.sin(Math.PI * Math.pow((0.75 - y + 0.15) / 1.7, 0.8));
      pen.line([[0, y], [sign * reach, y - 0.22]], 0.035, vein);
    }
  }
}

/** A mushroom, often with spots. */
export function mushroom(pen: Pen, stream: RandomStream, behind: Color): void {
  const cap = unlike(behind, () => vivid(stream, happens(stream, 0.6) ? 0.03 : undefined));
  const stem = unlike(
    behind,
    () => hsl(0.12, between(stream, 0.1, 0.4), between(stream, 0.6, 0.95)),
  );
  const thick = between(stream, 0.18, 0.32);
  pen.fill(
    [[-thick * 0.8, -0.1], [thick * 0.8, -0.1], [thick * 1.25, 0.95], [-thick * 1.25, 0.95]],
    stem,
  );
  pen.ellipse(0, 0.12, thick * 1.5, 0.1, mix(stem, BLACK, 0.15));
  const height = between(stream, 0.6, 1);
  const rim = between(stream, 0.05, 0.2);
  const dome = ellipsePoints(0, 0, 0.98, height, 32).filter(([, y]) => y <= 0.01);
  pen.fill([...dome, [0.6, rim], [-0.6, rim]], cap);
  if (happens(stream, 0.75)) {
    const spot = mix(WHITE, cap, between(stream, 0, 0.3));
    for (
      const [x, y] of [[-0.55, -0.25], [-0.05, -0.35], [0.5, -0.22], [-0.25, -0.68], [0.3, -0.66]]
    ) {
      const radius = between(stream, 0.07, 0.15);
      pen.ellipse(x, y * height, radius, radius * 0.85, spot);
    }
  }
}

/** A fish from the side, plain or striped. */
export function fish(pen: Pen, stream: RandomStream, behind: Color): void {
  const skin = unlike(behind, () => vivid(stream));
  const fin = unlike(skin, () => vivid(stream));
  const high = between(stream, 0.32, 0.55);
  pen.fill([[-0.5, 0], [-1, -0.45], [-0.85, 0], [-1, 0.45]], fin);
  pen.fill(smooth([[-0.3, -high * 0.7], [0.05, -high - 0.25], [0.35, -high * 0.7]]), fin);
  pen.fill(smooth([[-0.1, high * 0.6], [-0.1, high + 0.22], [0.25, high * 0.7]]), fin);
  const period = between(stream, 0.2, 0.4);
  const kind = stream.integer(3);
  const other = mix(skin, happens(stream, 0.5) ? WHITE : fin, 0.7);
  const paint: Paint = (x, y) => {
    if (kind === 0) return mix(skin, WHITE, Math.max(0, 0.7 * y / high));
    if (kind === 1) return Math.sin(2 * Math.PI * x / period) > 0 && x < 0.45 ? other : skin;
    return Math.sin(25 * x) * Math.sin(25 * y) > 0.3 ? other : skin;
  };
  pen.fill(
    smooth([[-0.68, 0], [-0.1, -high], [0.6, -high * 0.6], [0.98, 0], [0.6, high * 0.6], [
      -0.1,
      high,
    ]]),
    paint,
  );
  pen.ellipse(0.62, -0.1, 0.11, 0.11, WHITE);
  pen.ellipse(0.65, -0.1, 0.055, 0.055, BLACK);
  pen.line([[0.38, -high * 0.5], [0.44, 0], [0.38, high * 0.5]], 0.04, mix(skin, BLACK, 0.5));
}

/** A butterfly from above, with spots on its wings. */
export function butterfly(pen: Pen, stream: RandomStream, behind: Color): void {
  const wing = unlike(behind, () => vivid(stream));
  const edge = mix(wing, BLACK, between(stream, 0.4, 0.9));
  const spot = unlike(wing, () => happens(stream, 0.3) ? WHITE : vivid(stream));
  const [wide, low] = [between(stream, 0.75, 1), between(stream, 0.45, 0.75)];
  const inner = between(stream, 0.7, 0.85);
  for (const flip of [false, true]) {
    const half = pen.at({ flip });
    const upper: Point[] = [[0.04, -0.1], [wide * 0.5, -0.85], [wide, -0.75], [wide * 0.8, -0.1], [
      0.3,
      0.1,
    ]];
    const lower: Point[] = [[0.04, 0], [0.55, 0.02], [low + 0.1, 0.45], [low * 0.6, 0.85], [
      0.15,
      0.5,
    ]];
    for (const outline of [lower, upper]) {
      half.fill(smooth(outline), edge);
      half.fill(smooth(outline.map(([x, y]): Point => [0.08 + x * inner, y * inner])), wing);
    }
    half.ellipse(wide * 0.62, -0.48, 0.13, 0.13, spot);
    half.ellipse(low * 0.62, 0.42, 0.1, 0.1, spot);
    half.line(smooth([[0.02, -0.45], [0.12, -0.75], [0.26, -0.88]], false), 0.035, BLACK);
  }
  pen.ellipse(0, 0, 0.075, 0.52, BLACK);
  pen.ellipse(0, -0.48, 0.09, 0.09, BLACK);
}

/** A star with five to eight points, plain or in two tones. */
export function star(pen: Pen, stream: RandomStream, behind: Color): void {
  const color = unlike(behind, () => happens(stream, 0.2) ? muted(stream) : vivid(stream));
  const points = 5 + stream.integer(4);
  const inner = between(stream, 0.36, 0.58);
  const outline = corners(2 * points, [0.98, inner]);
  const dark = mix(color, BLACK, 0.35);
  if (happens(stream, 0.35)) {
    const larger = outline.map(([x, y]): Point => [1.14 * x, 1.14 * y]);
    pen.fill(larger, unlike(color, () => vivid(stream)));
  }
  pen.fill(outline, color);
  if (!happens(stream, 0.4)) return;
  for (let i = 0; i < 2 * points; i += 2) {
    pen.fill([[0, 0], outline[i], outline[i + 1]], dark);
  }
}
