/** Drawn pictures, and the canvas they are drawn on. */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { Canvas } from "../../../data/made/drawing/canvas.ts";
import { type Color, hsl } from "../../../data/made/drawing/color.ts";
import { corners, rectangle, smooth } from "../../../data/made/drawing/outlines.ts";
import {
  contentDrawing,
  DRAWING_CLASSES,
  drawPicture,
  drawPictures,
  STYLE_DRAWINGS,
  styleDrawing,
  TRANSFER_CLASSES,
  transferDrawings,
} from "../../../data/made/drawings.ts";
import { RandomStream } from "../../../data/rng.ts";
import { meanDifference, pixel } from "../images/images.ts";

const WHITE: Color = [1, 1, 1];
const RED: Color = [1, 0, 0];

/** How many pixels of a canvas are white, parts of pixels counted. */
function whiteArea(canvas: Canvas): number {
  return canvas.toImage().data.reduce((sum, value) => sum + value, 0) / 3 / 255;
}

Deno.test("a canvas counts the parts of pixels that a shape covers", () => {
  const canvas = new Canvas(8, 4); // the unit is 4 pixels
  canvas.pen.fill(rectangle(0.375, 0.25, 1, 0.5), WHITE);
  const image = canvas.toImage();
  const row = (y: number) => Array.from({ length: 8 }, (_, x) => pixel(image, x, y)[0]);
  assertEquals(row(0), [0, 0, 0, 0, 0, 0, 0, 0]);
  assertEquals(row(1), [0, 128, 255, 255, 255, 128, 0, 0]);
  assertEquals(row(2), row(1));
  assertEquals(row(3), row(0));
});

Deno.test("a canvas draws circles, polygons and lines of the right area, wherever they are", () => {
  const area = (draw: (canvas: Canvas) => void) => {
    const canvas = new Canvas(100, 100);
    draw(canvas);
    return whiteArea(canvas);
  };
  const circle = 24 * Math.sin(2 * Math.PI / 24) / 2; // of radius 1: it has 24 corners
  const disc = area(({ pen }) => pen.ellipse(0.5, 0.5, 0.3, 0.2, WHITE));
  assertAlmostEquals(disc, circle * 600, 2);
  const cut = area(({ pen }) => pen.ellipse(0, 0.5, 0.3, 0.2, WHITE)); // half of it lies outside
  assertAlmostEquals(cut, circle * 300, 2);
  const hexagon = area(({ pen }) => {
    const at = pen.at({ x: 0.4, y: 0.6, size: 0.3, angle: 0.7, flip: true, stretch: 1.2 });
    at.fill(corners(6, [1]), WHITE);
  });
  assertAlmostEquals(hexagon, 6 * Math.sin(Math.PI / 3) / 2 * 900, 4);
  // The parts of a line overlap, and count once.
  const line = area(({ pen }) => pen.line([[0.2, 0.5], [0.5, 0.5], [0.8, 0.5]], 0.1, WHITE));
  const end = 10 * Math.sin(2 * Math.PI / 10) / 2;
  assertAlmostEquals(line, 600 + end * 25, 2);
});

Deno.test("a pen is moved, turned, flipped and stretched", () => {
  const at = (placement: Parameters<Canvas["pen"]["at"]>[0]) => {
    const canvas = new Canvas(10, 10);
    canvas.pen.at({ x: 0.5, y: 0.5, size: 0.1, ...placement }).fill(rectangle(2, 0, 1, 1), RED);
    const { data } = canvas.toImage();
    const found = data.findIndex((value) => value === 255) / 3;
    return [found % 10, Math.floor(found / 10)];
  };
  assertEquals(at({}), [7, 5]);
  assertEquals(at({ flip: true }), [2, 5]);
  assertEquals(at({ angle: Math.PI / 2 }), [4, 7]); // clockwise
  const canvas = new Canvas(10, 10);
  const shader = (x: number, y: number): Color => [x / 4, y / 4, 0];
  canvas.pen.at({ x: 0.5, y: 0.5, size: 0.1, stretch: 2 }).fill(rectangle(0, 0, 2, 4), shader);
  // Four pixels wide and two high; the shader is given the pen's own places.
  const image = canvas.toImage();
  assertEquals(pixel(image, 5, 5), [16, 64, 0]);
  assertEquals(pixel(image, 8, 6), [112, 191, 0]);
  assertEquals(pixel(image, 9, 5), [0, 0, 0]);
});

Deno.test("opacity mixes, colors have hues, and curves go through their points", () => {
  const canvas = new Canvas(1, 1);
  canvas.pen.cover(WHITE);
  canvas.pen.cover(RED, 0.4);
  assertEquals(pixel(canvas.toImage(), 0, 0), [255, 153, 153]);
  assertEquals(canvas.colorAt(7, -3)[0], 1);
  for (const [hue, color] of [[0, RED], [1 / 3, [0, 1, 0]], [5 / 3, [0, 0, 1]]] as const) {
    hsl(hue, 1, 0.5).forEach((value, i) => assertAlmostEquals(value, color[i], 1e-9));
  }
  const points = corners(5, [1, 2]);
  for (const closed of [true, false]) {
    const curve = smooth(points, closed).map(String);
    for (const point of points) assert(curve.includes(String(point)), `${point}`);
  }
  assertThrows(() => new Canvas(0, 5), RangeError, "0 x 5");
});

Deno.test("every class draws pictures of any size that differ, and the same ones from the same stream", () => {
  const stream = new RandomStream(3);
  for (const name of [...DRAWING_CLASSES, ...TRANSFER_CLASSES]) {
    const draw = (seed: number, size = 24) => drawPicture(name, size, stream.split(seed));
    const [first, second] = [draw(0), draw(1)];
    assertEquals([first.width, first.height, first.data.length], [24, 24, 3 * 24 * 24]);
    assertEquals(draw(0), first, name);
    assert(meanDifference(first, second) > 5, `${name} draws the same twice`);
    assertEquals(draw(2, 7).data.length, 3 * 7 * 7);
  }
  assertThrows(
    () => drawPicture("toString", 24, stream),
    RangeError,
    'no drawing of "toString": allowed are bricks, ',
  );
});

Deno.test("pictures of classes come in order, and more of them keep the first ones", () => {
  const draw = (each: number) => drawPictures(["star", "dots"], each, 16, new RandomStream(1));
  const few = draw(2);
  assertEquals([...few.labels], [0, 0, 1, 1]);
  const more = draw(3);
  assertEquals(more.pictures.filter((_, i) => i % 3 < 2), few.pictures);
});

Deno.test("the drawings to transfer to have two splits with nothing in common", () => {
  const { classes, train, val } = transferDrawings(5);
  assertEquals(classes, ["ants", "bees"]);
  assert(classes.every((name) => !DRAWING_CLASSES.includes(name)));
  assertEquals([train.pictures.length, val.pictures.length], [240, 160]);
  for (const { pictures, labels } of [train, val]) {
    assertEquals(labels.length, pictures.length);
    assertEquals(labels.reduce((sum, label) => sum + label, 0), pictures.length / 2);
  }
  assertEquals([train.pictures[0].width, train.pictures[0].height], [128, 128]);
  const middles = [...train.pictures, ...val.pictures].map(({ data }) => data.subarray(2e4, 2.1e4));
  const seen = new Set(middles.map(String));
  assertEquals(seen.size, 400);
});

Deno.test("content and paintings fill the size that is asked for, each in its own way", () => {
  const pictures = [contentDrawing(64, 48), ...STYLE_DRAWINGS.map((n) => styleDrawing(n, 64, 48))];
  assertEquals(pictures.length, 4);
  for (const [i, { width, height, data }] of pictures.entries()) {
    assertEquals([width, height, data.length], [64, 48, 3 * 64 * 48]);
    for (const other of pictures.slice(0, i)) {
      assert(meanDifference(pictures[i], other) > 30, `picture ${i}`);
    }
  }
  assertEquals(contentDrawing(48, 64).height, 64);
  assertNotEquals(contentDrawing(32, 24), styleDrawing("bands", 32, 24));
});
