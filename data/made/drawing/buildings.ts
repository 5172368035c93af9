/**
 * Things that people make: a house, a sailing boat, a car, an umbrella, a face. Each is drawn around the
 * origin, from -1 to 1, and each call draws another one.
 *
 * @module
 */
import type { RandomStream } from "../../rng.ts";
import type { Pen } from "./canvas.ts";
import { between, type Color, happens, hsl, mix, muted, unlike, vivid } from "./color.ts";
import { ellipsePoints, type Point, rectangle, smooth } from "./outlines.ts";

const WHITE: Color = [0.96, 0.96, 0.94];
const BLACK: Color = [0.08, 0.08, 0.1];

/** A gabled house with a door, windows and perhaps a chimney. */
export function house(pen: Pen, stream: RandomStream, behind: Color): void {
  const wall = unlike(behind, () => happens(stream, 0.5) ? vivid(stream) : muted(stream));
  const roof = unlike(wall, () => vivid(stream, happens(stream, 0.6) ? 0.02 : undefined));
  const half = between(stream, 0.55, 0.85);
  const eaves = between(stream, -0.25, 0.1);
  if (happens(stream, 0.6)) {
    pen.fill(rectangle(between(stream, 0.2, 0.4), -0.85, 0.16, 0.7), mix(roof, BLACK, 0.4));
  }
  pen.fill(rectangle(-half, eaves, 2 * half, 0.95 - eaves), wall);
  const over = between(stream, 0.05, 0.2);
  pen.fill([[-half - over, eaves], [0, -0.95], [half + over, eaves]], roof);
  const glass = unlike(wall, () => hsl(between(stream, 0.1, 0.65), 0.5, between(stream, 0.3, 0.8)));
  const door = unlike(wall, () => vivid(stream));
  const doorAt = between(stream, -0.25, 0.1);
  pen.fill(rectangle(doorAt, 0.4, 0.26, 0.55), door);
  const side = between(stream, 0.18, 0.26);
  for (const x of [-half + 0.1, half - 0.1 - side]) {
    for (const y of [eaves + 0.12, eaves + 0.55]) {
      if (y > 0.35 && Math.abs(x + side / 2 - doorAt - 0.13) < 0.3) continue;
      pen.fill(rectangle(x, y, side, side), glass);
      pen.line([[x + side / 2, y], [x + side / 2, y + side]], 0.035, WHITE);
      pen.line([[x, y + side / 2], [x + side, y + side / 2]], 0.035, WHITE);
    }
  }
}

/** A boat with a hull, a mast and two sails, perhaps on water. */
export function sailingBoat(pen: Pen, stream: RandomStream, behind: Color): void {
  const hull = unlike(behind, () => vivid(stream));
  const sail = unlike(behind, () => happens(stream, 0.5) ? WHITE : vivid(stream));
  const mast = between(stream, -0.2, 0.15);
  pen.line([[mast, -0.95], [mast, 0.5]], 0.07, mix(hull, BLACK, 0.6));
  const belly = between(stream, 0, 0.25);
  const foot = between(stream, 0.2, 0.32);
  pen.fill(
    [[mast + 0.06, -0.9], [mast + 0.5 + belly, 0], [mast + 0.75, foot], [mast + 0.06, foot]],
    sail,
  );
  const jib = happens(stream, 0.5) ? sail : unlike(behind, () => vivid(stream));
  pen.fill([[mast - 0.06, -0.75], [mast - 0.06, foot], [mast - 0.65, foot]], jib);
  const deck = 0.42;
  pen.fill([[-0.95, deck], [0.95, deck], [0.6, 0.85], [-0.6, 0.85]], hull);
  pen.line([[-0.9, deck + 0.08], [0.9, deck + 0.08]], 0.06, mix(hull, WHITE, 0.6));
  if (happens(stream, 0.6)) {
    const water = hsl(between(stream, 0.5, 0.65), 0.6, between(stream, 0.35, 0.6));
    const crests: Point[] = Array.from(
      { length: 9 },
      (_, i) => [-1.3 + i * 0.325, 0.82 + 0.09 * (i % 2)],
    );
    pen.fill([...smooth(crests, false), [1.3, 1.15], [-1.3, 1.15]], water, 0.9);
  }
}

/** A car from the side. */
export function car(pen: Pen, stream: RandomStream, behind: Color): void {
  const body = unlike(behind, () => vivid(stream));
  const roof = between(stream, -0.6, -0.4);
  const [front, back] = [between(stream, 0.35, 0.5), between(stream, -0.7, -0.5)];
  const cabin: Point[] = [[back - 0.1, 0], [back + 0.1, roof], [front - 0.25, roof], [
    front + 0.1,
    0,
  ]];
  pen.fill(cabin, body);
  const glass = hsl(0.55, 0.3, between(stream, 0.55, 0.9));
  const pillar = (back + front) / 2 - 0.05;
  const [top, sill] = [roof + 0.1, -0.03];
  pen.fill(
    [[back + 0.05, sill], [back + 0.17, top], [pillar - 0.04, top], [pillar - 0.04, sill]],
    glass,
  );
  pen.fill(
    [[pillar + 0.04, sill], [pillar + 0.04, top], [front - 0.3, top], [front - 0.02, sill]],
    glass,
  );
  const nose = between(stream, 0.02, 0.12);
  const low: Point[] = [[-0.98, nose], [-0.9, 0], [0.75, 0], [0.98, nose + 0.1], [0.98, 0.4], [
    -0.98,
    0.4,
  ]];
  pen.fill(low, body);
  pen.line([[pillar, 0.02], [pillar, 0.36]], 0.03, mix(body, BLACK, 0.5));
  pen.ellipse(0.9, nose + 0.13, 0.06, 0.07, [1, 0.95, 0.6]);
  const radius = between(stream, 0.2, 0.27);
  const hub = mix(WHITE, BLACK, between(stream, 0, 0.5));
  for (const x of [-0.56, 0.55]) {
    pen.ellipse(x, 0.4, radius, radius, BLACK);
    pen.ellipse(x, 0.4, radius * 0.5, radius * 0.5, hub);
  }
}

/** An open umbrella with panels of one or two colors. */
export function umbrella(pen: Pen, stream: RandomStream, behind: Color): void {
  const a = unlike(behind, () => vivid(stream));
  const b = happens(stream, 0.6) ? unlike(a, () => vivid(stream)) : mix(a, BLACK, 0.25);
  const stick = unlike(behind, () => muted(stream));
  const handle: Point[] = [[0, -0.8], [0, 0.75], [0.06, 0.92], [0.2, 0.92], [0.26, 0.75]];
  pen.line(handle, 0.08, stick);
  const panels = 4 + stream.integer(3);
  const height = between(stream, 0.7, 0.95);
  const place = (
    i: number,
    low: number,
  ): Point => [0.98 * Math.cos(Math.PI * (1 - i / panels)), low];
  for (let i = 0; i < panels; i++) {
    const [left, right] = [place(i, 0.1), place(i + 1, 0.1)];
    const seam = (x: number): Point[] =>
      [0.35, 0.7].map((
        t,
      ) => [x * Math.sin(t * Math.PI / 2), 0.1 - height * Math.cos(t * Math.PI / 2)]);
    const rim: Point = [(left[0] + right[0]) / 2, 0.02];
    const outline: Point[] = [
      left,
      ...seam(left[0]).reverse(),
      [0, 0.1 - height],
      ...seam(right[0]),
      right,
      rim,
    ];
    pen.fill(outline, i % 2 === 0 ? a : b);
  }
  pen.line([[0, -height], [0, 0.12 - height]], 0.07, stick);
}

/** A face with eyes, brows, a nose, a mouth and hair. */
export function face(pen: Pen, stream: RandomStream, behind: Color): void {
  const skin = unlike(
    behind,
    () => hsl(between(stream, 0.04, 0.12), 0.5, between(stream, 0.35, 0.8)),
  );
  const hair = unlike(
    behind,
    () => hsl(between(stream, 0.02, 0.13), 0.5, between(stream, 0.1, 0.6)),
  );
  const wide = between(stream, 0.66, 0.85);
  const long = happens(stream, 0.5);
  pen.ellipse(0, -0.1, wide + 0.12, 0.9, hair);
  if (long) pen.fill(rectangle(-wide - 0.12, -0.1, 2 * wide + 0.24, 0.9), hair);
  pen.ellipse(0, 0.08, wide, 0.85, skin);
  const fringe = between(stream, -0.5, -0.3);
  const brow = ellipsePoints(0, -0.12, wide + 0.06, 0.86).filter(([, y]) => y < fringe);
  pen.fill(brow, hair);
  const dark = mix(hair, BLACK, 0.5);
  const apart = between(stream, 0.26, 0.36);
  const eye = between(stream, 0.08, 0.13);
  const iris = hsl(stream.uniform(), 0.5, 0.3);
  for (const x of [-apart, apart]) {
    pen.ellipse(x, 0, eye * 1.35, eye, WHITE);
    pen.ellipse(x, 0, eye * 0.65, eye * 0.65, iris);
    pen.line([[x - 0.14, -0.2], [x + 0.14, -0.2]], 0.06, dark);
  }
  pen.line([[0, 0.05], [-0.06, 0.27], [0.06, 0.29]], 0.05, mix(skin, BLACK, 0.35));
  const smile = between(stream, -0.1, 0.16);
  const mouth: Point[] = [[-0.26, 0.5], [0, 0.5 + smile], [0.26, 0.5]];
  pen.line(smooth(mouth, false), between(stream, 0.06, 0.12), hsl(0.98, 0.6, 0.4));
}
