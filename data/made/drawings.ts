/**
 * Pictures that are drawn instead of photographed, for a machine without data: classes of textures and
 * things to train a small network on, and ants and bees to teach it next.
 *
 * @module
 */
import { car, face, house, sailingBoat, umbrella } from "./drawing/buildings.ts";
import { Canvas, type Pen } from "./drawing/canvas.ts";
import { between, type Color, happens, hsl, type Shader } from "./drawing/color.ts";
import { beetle, dragonfly, snail, spider } from "./drawing/creatures.ts";
import { clutter, gardenColor, ground } from "./drawing/grounds.ts";
import { ant, bee } from "./drawing/insects.ts";
import { paintBands, paintPatches, paintSwirls } from "./drawing/paintings.ts";
import { drawTown } from "./drawing/town.ts";
import { butterfly, fish, flower, leaf, mushroom, star, tree } from "./drawing/living.ts";
import {
  bricks,
  checks,
  dots,
  patchwork,
  rings,
  spiral,
  stripes,
  waves,
} from "./drawing/textures.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { RandomStream } from "../rng.ts";

type Texture = (stream: RandomStream) => Shader;
type Thing = (pen: Pen, stream: RandomStream, behind: Color) => void;

const TEXTURES: Readonly<Record<string, Texture>> = {
  bricks,
  checks,
  dots,
  patchwork,
  rings,
  spiral,
  stripes,
  waves,
};

const THINGS: Readonly<Record<string, Thing>> = {
  boat: sailingBoat,
  butterfly,
  car,
  face,
  fish,
  flower,
  house,
  leaf,
  mushroom,
  star,
  tree,
  umbrella,
};

const CREATURES: Readonly<Record<string, Thing>> = { beetle, dragonfly, snail, spider };

const INSECTS: Readonly<Record<string, Thing>> = { ants: ant, bees: bee };

/** The classes that the embedded network was trained on: textures, things, and creatures. */
export const DRAWING_CLASSES: readonly string[] = [TEXTURES, THINGS, CREATURES].flatMap(
  Object.keys,
);

/** The classes that it never saw. */
export const TRANSFER_CLASSES: readonly string[] = Object.keys(INSECTS);

/** Haze or dusk, and the grain of a film. */
function finish(canvas: Canvas, stream: RandomStream): RgbImage {
  const tint = hsl(stream.uniform(), 0.3, happens(stream, 0.5) ? 0.95 : 0.05);
  canvas.pen.cover(tint, between(stream, 0, 0.2));
  canvas.grain(stream, between(stream, 0, 0.035));
  return canvas.toImage();
}

function drawTexture(texture: Texture, size: number, stream: RandomStream): RgbImage {
  const canvas = new Canvas(size, size);
  const { color } = ground(stream);
  canvas.pen.cover(texture(stream));
  if (happens(stream, 0.4)) {
    clutter(canvas.pen, stream, 1 + stream.integer(5), { color, apart: 0.8 });
  }
  return finish(canvas, stream);
}

function drawThing(thing: Thing, size: number, stream: RandomStream): RgbImage {
  const canvas = new Canvas(size, size);
  const { shader, color } = ground(stream);
  canvas.pen.cover(shader);
  clutter(canvas.pen, stream, stream.integer(9), { color });
  const half = between(stream, 0.26, 0.47);
  const place = () => between(stream, Math.min(half, 0.4), 1 - Math.min(half, 0.4));
  const pen = canvas.pen.at({
    x: place(),
    y: place(),
    size: half,
    angle: between(stream, -0.5, 0.5),
    flip: happens(stream, 0.5),
    stretch: between(stream, 0.85, 1.18),
  });
  thing(pen, stream, color);
  return finish(canvas, stream);
}

/** On grass, earth, stone or a petal, looking anywhere, among leaves and twigs. */
function drawCreature(creature: Thing, size: number, stream: RandomStream): RgbImage {
  const canvas = new Canvas(size, size);
  const { shader, color } = ground(stream, gardenColor(stream));
  canvas.pen.cover(shader);
  clutter(canvas.pen, stream, 2 + stream.integer(14), { color, apart: 0.6 });
  const half = between(stream, 0.3, 0.46);
  const place = () => between(stream, 0.34, 0.66);
  const pen = canvas.pen.at({
    x: place(),
    y: place(),
    size: half,
    angle: between(stream, 0, 2 * Math.PI),
    flip: happens(stream, 0.5),
    stretch: between(stream, 0.88, 1.14),
  });
  creature(pen, stream, color);
  clutter(canvas.pen, stream, stream.integer(5), { color, apart: 0.6 });
  return finish(canvas, stream);
}

/**
 * Draw a picture of a class, `size` x `size`. The same state of the stream gives the same picture.
 *
 * A name that is neither in {@linkcode DRAWING_CLASSES} nor in {@linkcode TRANSFER_CLASSES}, and a size that
 * is no integer from 1, are a RangeError.
 *
 * ```ts
 * import { RandomStream } from "../rng.ts";
 *
 * const { width, data } = drawPicture("house", 32, new RandomStream(1));
 * if (width !== 32 || data.length !== 3 * 32 * 32) throw new Error(`a width of ${width}`);
 * ```
 */
export function drawPicture(name: string, size: number, stream: RandomStream): RgbImage {
  if (Object.hasOwn(TEXTURES, name)) return drawTexture(TEXTURES[name], size, stream);
  if (Object.hasOwn(THINGS, name)) return drawThing(THINGS[name], size, stream);
  if (Object.hasOwn(CREATURES, name)) return drawCreature(CREATURES[name], size, stream);
  if (Object.hasOwn(INSECTS, name)) return drawCreature(INSECTS[name], size, stream);
  const names = [...DRAWING_CLASSES, ...TRANSFER_CLASSES];
  throw new RangeError(`There is no drawing of "${name}": allowed are ${names.join(", ")}`);
}

/** Pictures and the class of each. */
export interface LabeledPictures {
  /** The pictures. */
  pictures: RgbImage[];
  /** Indices into the classes, `[pictures.length]`. */
  labels: Uint32Array<ArrayBuffer>;
}

/**
 * Draw `each` pictures of every class, `size` x `size`, one class after the other. Every picture has a stream
 * of its own: more pictures do not change the first ones.
 */
export function drawPictures(
  classes: readonly string[],
  each: number,
  size: number,
  stream: RandomStream,
): LabeledPictures {
  const pictures = classes.flatMap((name) =>
    Array.from({ length: each }, (_, i) => drawPicture(name, size, stream.split(name).split(i)))
  );
  const labels = Uint32Array.from(pictures, (_, i) => Math.floor(i / each));
  return { pictures, labels };
}

/** Two splits of pictures of the same classes. */
export interface DrawnSplits {
  /** What the data set is called. */
  name: string;
  /** The classes' names. */
  classes: readonly string[];
  /** To learn from. */
  train: LabeledPictures;
  /** To measure on. */
  val: LabeledPictures;
}

/** Drawn ants and bees: 120 of each to train on and 80 to validate, 128 x 128. */
export function transferDrawings(seed = 0): DrawnSplits {
  const stream = new RandomStream(seed).split("ants and bees");
  const draw = (split: string, each: number) =>
    drawPictures(TRANSFER_CLASSES, each, 128, stream.split(split));
  return {
    name: "drawn ants and bees",
    classes: TRANSFER_CLASSES,
    train: draw("train", 120),
    val: draw("val", 80),
  };
}

/** A row of gabled houses along a river: a content picture for style transfer. */
export function contentDrawing(width = 256, height = 192): RgbImage {
  const canvas = new Canvas(width, height);
  drawTown(canvas, new RandomStream(0).split("town"));
  return canvas.toImage();
}

/** The name of a painting. */
export type StyleName = "swirls" | "bands" | "patches";

const PAINTINGS = {
  swirls: paintSwirls,
  bands: paintBands,
  patches: paintPatches,
} satisfies Record<StyleName, unknown>;

/** The paintings that there are. */
export const STYLE_DRAWINGS = Object.keys(PAINTINGS) as StyleName[];

/** A painting in brush strokes: a style picture for style transfer. */
export function styleDrawing(name: StyleName, width = 256, height = 192): RgbImage {
  const canvas = new Canvas(width, height);
  const stream = new RandomStream(0).split(name);
  PAINTINGS[name](canvas, stream);
  canvas.grain(stream, 0.02);
  return canvas.toImage();
}
