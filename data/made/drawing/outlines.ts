/**
 * Outlines of shapes, as points.
 *
 * @module
 */

/** A place in a drawing; `x` goes right, `y` goes down. */
export type Point = readonly [x: number, y: number];

/** Points around an ellipse. */
export function ellipsePoints(
  x: number,
  y: number,
  rx: number,
  ry: number,
  count = 24,
): Point[] {
  return Array.from({ length: count }, (_, i): Point => {
    const angle = 2 * Math.PI * i / count;
    return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
  });
}

/** The corners of a rectangle. */
export function rectangle(left: number, top: number, width: number, height: number): Point[] {
  const [right, bottom] = [left + width, top + height];
  return [[left, top], [right, top], [right, bottom], [left, bottom]];
}

/** Corners around the origin, whose distances from it are the radii in turn. */
export function corners(count: number, radii: readonly number[], start = -Math.PI / 2): Point[] {
  return Array.from({ length: count }, (_, i): Point => {
    const angle = start + 2 * Math.PI * i / count;
    const radius = radii[i % radii.length];
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });
}

/** So many points for each part of a curve. */
const STEPS = 6;

/** A smooth curve through points (Catmull and Rom 1974), closed or from the first to the last. */
export function smooth(points: readonly Point[], closed = true): Point[] {
  const count = points.length;
  const at = (i: number) =>
    closed ? points[(i + count) % count] : points[Math.min(Math.max(i, 0), count - 1)];
  const curve: Point[] = [];
  for (let i = 0; i < (closed ? count : count - 1); i++) {
    const [before, from, to, after] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
    for (let step = 0; step < STEPS; step++) {
      const t = step / STEPS;
      const between = (axis: 0 | 1) => {
        const slope = (to[axis] - before[axis]) / 2;
        const slopeEnd = (after[axis] - from[axis]) / 2;
        const rise = from[axis] - to[axis];
        return from[axis] +
          t * (slope + t * (-3 * rise - 2 * slope - slopeEnd + t * (2 * rise + slope + slopeEnd)));
      };
      curve.push([between(0), between(1)]);
    }
  }
  if (!closed) curve.push(points[count - 1]);
  return curve;
}
