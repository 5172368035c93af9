/**
 * Three paintings in brush strokes, for their style: whirls, wavy bands, and angular patches.
 *
 * @module
 */
import type { RandomStream } from "../../rng.ts";
import type { Canvas, Pen } from "./canvas.ts";
import { between, type Color, happens, hsl, mix, pick, vivid } from "./color.ts";
import { corners, type Point, smooth } from "./outlines.ts";
import { type Field, hills } from "./textures.ts";

/** A stroke that starts at a place and follows the directions of a field, `length` long. */
function stroke(angle: Field, x: number, y: number, length: number): Point[] {
  const points: Point[] = [[x, y]];
  const steps = 6;
  for (let i = 0; i < steps; i++) {
    const towards = angle(x, y);
    x += Math.cos(towards) * length / steps;
    y += Math.sin(towards) * length / steps;
    points.push([x, y]);
  }
  return points;
}

/** Cover a canvas with strokes along a field, each in the color of the place it starts at. */
function paintStrokes(
  pen: Pen,
  stream: RandomStream,
  { width, height, count, length, thick, angle, color }: {
    width: number;
    height: number;
    count: number;
    length: number;
    thick: number;
    angle: Field;
    color: (x: number, y: number) => Color;
  },
): void {
  for (let i = 0; i < count; i++) {
    const [x, y] = [between(stream, -0.05, width + 0.02), between(stream, -0.03, height + 0.03)];
    const points = stroke(angle, x, y, length * between(stream, 0.6, 1.3));
    const tone = between(stream, -0.09, 0.09);
    const [red, green, blue] = color(x, y);
    const fat = thick * between(stream, 0.6, 1.3);
    pen.line(points, [fat, 0.5 * fat], [red + tone, green + tone, blue + tone]);
  }
}

/** A night of whirling air, with bright stars over dark hills. */
export function paintSwirls(canvas: Canvas, stream: RandomStream): void {
  const { pen } = canvas;
  const unit = Math.min(canvas.width, canvas.height);
  const [width, height] = [canvas.width / unit, canvas.height / unit];
  const whirls = [[0.42, 0.36, 0.2, 1], [0.72, 0.5, 0.13, -1], [0.16, 0.6, 0.1, 1]].map(
    ([x, y, reach, turn]) => ({ x: x * width, y: y * height, reach, turn }),
  );
  const stars = Array.from({ length: 9 }, (_, i) => ({
    x: width * (0.06 + 0.11 * i + between(stream, -0.03, 0.03)),
    y: height * between(stream, 0.06, i % 2 === 0 ? 0.22 : 0.5),
    reach: between(stream, 0.045, 0.085),
  }));
  const drift = hills(stream, 3);
  const angle: Field = (x, y) => {
    let [u, v] = [1, 0.8 * (drift(x, y) - 0.5)];
    for (
      const { x: cx, y: cy, reach, turn } of [...whirls, ...stars.map((s) => ({ ...s, turn: 1 }))]
    ) {
      const [dx, dy] = [x - cx, y - cy];
      const far = Math.hypot(dx, dy) + 1e-6;
      const pull = 4 * turn * Math.exp(-((far / reach) ** 2));
      u -= pull * dy / far;
      v += pull * dx / far;
    }
    return Math.atan2(v, u);
  };
  const bands = hills(stream, 7);
  const ridge = hills(stream, 2.5);
  const land = (x: number) => height * (0.74 + 0.14 * ridge(x, 0));
  const color = (x: number, y: number): Color => {
    if (y > land(x)) return mix([0.08, 0.16, 0.25], [0.2, 0.36, 0.36], bands(2 * x, 2 * y));
    let sky = mix([0.1, 0.17, 0.45], [0.42, 0.6, 0.82], bands(x, 2 * y));
    for (const { x: cx, y: cy, reach } of whirls) {
      const ring = Math.sin(Math.hypot(x - cx, y - cy) / reach * 9);
      const near = Math.exp(-((Math.hypot(x - cx, y - cy) / reach / 1.2) ** 2));
      sky = mix(sky, [0.75, 0.85, 0.85], near * Math.max(ring, 0));
    }
    for (const { x: cx, y: cy, reach } of stars) {
      const far = Math.hypot(x - cx, y - cy) / reach;
      const glow = Math.exp(-far * far);
      sky = mix(sky, far < 0.35 ? [1, 0.95, 0.7] : [0.95, 0.78, 0.25], glow);
    }
    return sky;
  };
  pen.cover([0.1, 0.18, 0.4]);
  paintStrokes(pen, stream, {
    width,
    height,
    count: 5200,
    length: 0.085,
    thick: 0.02,
    angle,
    color,
  });
  // A cypress that reaches into the sky.
  for (let i = 0; i < 220; i++) {
    const t = Math.sqrt(stream.uniform());
    const x = width * 0.1 + between(stream, -0.09, 0.09) * t;
    const y = height * (0.25 + 0.8 * t);
    const lick: Point[] = [[x, y], [x + 0.02, y - 0.06], [x - 0.01, y - 0.13]];
    const green = mix([0.05, 0.1, 0.09], [0.22, 0.3, 0.14], stream.uniform());
    pen.line(smooth(lick, false), [0.02, 0.006], green);
  }
}

/** A burning evening in wavy bands over dark water, and a bridge that runs into the picture. */
export function paintBands(canvas: Canvas, stream: RandomStream): void {
  const { pen } = canvas;
  const unit = Math.min(canvas.width, canvas.height);
  const [width, height] = [canvas.width / unit, canvas.height / unit];
  const slow = hills(stream, 1.7);
  const quick = hills(stream, 4);
  const shore = (x: number) => height * (0.46 + 0.1 * Math.sin(3.1 * x + 0.5));
  const bend = (x: number, y: number) => 0.3 * slow(x, y) + 0.08 * quick(x, y);
  const angle: Field = (x, y) => {
    const step = 0.01;
    const rise = bend(x + step, y) - bend(x - step, y);
    const run = bend(x, y + step) - bend(x, y - step);
    return Math.atan2(-rise, 2 * step + run) + (y > shore(x) ? 0.25 * Math.sin(9 * x + 7 * y) : 0);
  };
  const SKY: Color[] = [[0.9, 0.36, 0.12], [0.95, 0.62, 0.2], [0.8, 0.2, 0.12], [0.97, 0.8, 0.4], [
    0.88,
    0.45,
    0.15,
  ], [0.6, 0.65, 0.6]];
  const WATER: Color[] = [
    [0.1, 0.16, 0.3],
    [0.2, 0.3, 0.42],
    [0.13, 0.2, 0.22],
    [0.45, 0.42, 0.3],
    [0.08, 0.1, 0.2],
  ];
  const color = (x: number, y: number): Color => {
    const above = y < shore(x);
    const colors = above ? SKY : WATER;
    const place = (y + bend(x, y)) * (above ? 17 : 15) + 40;
    return colors[Math.floor(place) % colors.length];
  };
  pen.cover([0.75, 0.35, 0.15]);
  paintStrokes(pen, stream, {
    width,
    height,
    count: 3600,
    length: 0.22,
    thick: 0.019,
    angle,
    color,
  });
  const corner: Point[] = [[0, 0.52 * height], [0.95 * width, 1.02 * height], [0, 1.02 * height]];
  pen.fill(corner, [0.42, 0.25, 0.15]);
  for (let i = 0; i < 70; i++) {
    const t = i / 70;
    const end: Point = [width * 0.97 * t + between(stream, -0.02, 0.02), height * 1.04];
    const plank = mix([0.55, 0.33, 0.18], [0.25, 0.2, 0.22], stream.uniform());
    pen.line([[-0.02, height * (0.5 + 0.1 * t)], end], [0.008, 0.022], plank, 0.85);
  }
  for (const lift of [0, 0.07]) {
    pen.line([[-0.02, height * 0.5 - lift], [width, height * 1.03 - lift]], [0.014, 0.03], [
      0.3,
      0.13,
      0.1,
    ]);
  }
}

/** Angular patches, arcs and lines in many colors, one over the other. */
export function paintPatches(canvas: Canvas, stream: RandomStream): void {
  const { pen } = canvas;
  const unit = Math.min(canvas.width, canvas.height);
  const [width, height] = [canvas.width / unit, canvas.height / unit];
  const colors: Color[] = [
    ...[0.02, 0.08, 0.13, 0.15, 0.33, 0.55, 0.62, 0.78, 0.95].map((hue) => vivid(stream, hue)),
    [0.93, 0.88, 0.75],
    [0.12, 0.11, 0.16],
  ];
  const cloudy = hills(stream, 4);
  pen.cover((x, y) => mix([0.92, 0.84, 0.66], [0.72, 0.62, 0.6], cloudy(x, y)));
  const ink: Color = [0.1, 0.08, 0.12];
  for (let i = 0; i < 260; i++) {
    const fade = 1 - i / 330; // from large to small
    const size = 0.2 * fade * between(stream, 0.35, 1);
    const at = pen.at({
      x: between(stream, 0, width),
      y: between(stream, 0, height),
      size,
      angle: between(stream, 0, 2 * Math.PI),
    });
    const base = mix(
      pick(stream, colors),
      hsl(stream.uniform(), 0.6, 0.5),
      0.25 * stream.uniform(),
    );
    const other = pick(stream, colors);
    // A patch goes from one color to another, as paint that was not mixed to its end.
    const paint = (x: number, y: number) =>
      mix(base, other, Math.min(Math.max(0.25 + 0.3 * (x + 0.5 * y), 0), 0.8));
    const kind = stream.integer(6);
    if (kind <= 2) {
      const radii = [
        1,
        between(stream, 0.5, 1),
        between(stream, 0.6, 1.2),
        between(stream, 0.4, 1),
      ];
      const outline = corners(3 + stream.integer(2), radii);
      at.fill(outline, paint, between(stream, 0.75, 1));
      if (happens(stream, 0.4)) at.line([...outline, outline[0]], 0.006 / size, ink);
    } else if (kind === 3) {
      const arc: Point[] = Array.from({ length: 9 }, (_, j) => {
        const turn = j / 8 * Math.PI * 0.9;
        return [Math.cos(turn), Math.sin(turn)];
      });
      at.line(arc, [0.05 / Math.sqrt(size) * 0.35, 0.02], happens(stream, 0.5) ? ink : base);
    } else if (kind === 4) {
      for (let j = 0; j < 4; j++) {
        at.line([[-1.3, 0.22 * j], [1.3, 0.22 * j + 0.1]], 0.008 / size, j % 2 === 0 ? ink : base);
      }
    } else {
      at.ellipse(0, 0, 0.6, between(stream, 0.35, 0.6), paint);
      if (happens(stream, 0.6)) at.ellipse(0.05, 0, 0.3, 0.25, other);
    }
  }
}
