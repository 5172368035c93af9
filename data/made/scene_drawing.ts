/**
 * Drawing scenes of flat colored shapes: as SVG for people, and as a few pixels for a model.
 *
 * @module
 */

/** The name of a shape. */
export type Shape = "circle" | "square" | "triangle" | "star";

/** The shapes, by the corners of their outline around the origin; none for the circle. */
const OUTLINES: Readonly<Record<Shape, readonly [number, number][]>> = {
  circle: [],
  square: regular([Math.SQRT2], 4, Math.PI / 4),
  triangle: regular([1.25], 3, -Math.PI / 2),
  star: regular([1.3, 0.42], 10, -Math.PI / 2),
};

/** No outline reaches further than so many radii. */
const MAX_REACH = 1.5;

/** The colors of shapes and backgrounds, as red, green and blue from 0 to 255. */
const COLORS = {
  red: [217, 30, 30],
  green: [20, 150, 50],
  blue: [25, 65, 220],
  yellow: [240, 200, 0],
  purple: [145, 40, 175],
  white: [255, 255, 255],
  gray: [190, 190, 190],
  pink: [255, 205, 215],
} as const satisfies Record<Color, readonly number[]>;

/** The name of a color. */
export type Color = "red" | "green" | "blue" | "yellow" | "purple" | "white" | "gray" | "pink";

/** One shape in a picture of width and height 1; `x` goes right, `y` goes down. */
export interface DrawnShape {
  /** What is drawn. */
  shape: Shape;
  /** How it is filled. */
  color: Color;
  /** The center, from the left. */
  x: number;
  /** The center, from the top. */
  y: number;
  /** The circle's radius; the other shapes are about as large. */
  radius: number;
}

/** The corners of a regular polygon; with several radii it takes them in turn. */
function regular(radii: number[], corners: number, start: number): [number, number][] {
  return Array.from({ length: corners }, (_, i) => {
    const angle = start + 2 * Math.PI * i / corners;
    const radius = radii[i % radii.length];
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });
}

/** An SVG drawing of shapes on a background. */
export function drawSvg(background: Color, shapes: readonly DrawnShape[]): string {
  const rgb = (color: Color) => `rgb(${COLORS[color].join(",")})`;
  const digits = (value: number) => (100 * value).toFixed(1);
  const drawn = shapes.map(({ shape, color, x, y, radius }) => {
    if (shape === "circle") {
      return `<circle cx="${digits(x)}" cy="${digits(y)}" r="${digits(radius)}" fill="${
        rgb(color)
      }"/>`;
    }
    const points = OUTLINES[shape].map(([dx, dy]) =>
      `${digits(x + radius * dx)},${digits(y + radius * dy)}`
    );
    return `<polygon points="${points.join(" ")}" fill="${rgb(color)}"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><rect width="100" height="100" fill="${
    rgb(background)
  }"/>${drawn.join("")}</svg>`;
}

/** Whether the point `(px, py)` lies in a shape: an odd count of outline crossings to its right. */
function contains({ shape, x, y, radius }: DrawnShape, px: number, py: number): boolean {
  const dx = (px - x) / radius;
  const dy = (py - y) / radius;
  if (shape === "circle") return dx * dx + dy * dy <= 1;
  const corners = OUTLINES[shape];
  let inside = false;
  for (let i = 0; i < corners.length; i++) {
    const [ax, ay] = corners[i];
    const [bx, by] = corners[(i + 1) % corners.length];
    if (ay > dy !== by > dy && dx < ax + (bx - ax) * (dy - ay) / (by - ay)) inside = !inside;
  }
  return inside;
}

/** The share of the pixel at `(column, row)` that a shape covers, by looking at 4 x 4 points in it. */
function coverage(shape: DrawnShape, column: number, row: number, size: number): number {
  let inside = 0;
  for (let i = 0; i < 16; i++) {
    const px = (column + (i % 4 + 0.5) / 4) / size;
    const py = (row + (Math.floor(i / 4) + 0.5) / 4) / size;
    if (contains(shape, px, py)) inside++;
  }
  return inside / 16;
}

/**
 * The pixels of shapes on a background, `[3, size, size]`: red, green and blue from 0 to 1. Edges are
 * soft, and later shapes are painted over earlier ones.
 *
 * ```ts
 * const dot: DrawnShape = { shape: "circle", color: "red", x: 0.5, y: 0.5, radius: 0.2 };
 * const pixels = rasterize("white", [dot], 5);
 * if (pixels[0] !== 1) throw new Error("the corner is not white");
 * if (pixels[25 + 12] > 0.2) throw new Error("the middle is not red");
 * ```
 */
export function rasterize(
  background: Color,
  shapes: readonly DrawnShape[],
  size: number,
): Float32Array<ArrayBuffer> {
  const area = size * size;
  const pixels = new Float32Array(3 * area);
  for (const channel of [0, 1, 2]) {
    pixels.fill(COLORS[background][channel] / 255, channel * area, (channel + 1) * area);
  }
  for (const shape of shapes) {
    const reach = MAX_REACH * shape.radius;
    const first = (center: number) => Math.max(0, Math.floor((center - reach) * size));
    const end = (center: number) => Math.min(size, Math.ceil((center + reach) * size));
    for (let row = first(shape.y); row < end(shape.y); row++) {
      for (let column = first(shape.x); column < end(shape.x); column++) {
        const share = coverage(shape, column, row, size);
        for (const channel of [0, 1, 2]) {
          const at = channel * area + row * size + column;
          pixels[at] += share * (COLORS[shape.color][channel] / 255 - pixels[at]);
        }
      }
    }
  }
  return pixels;
}
