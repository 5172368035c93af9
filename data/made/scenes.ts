/**
 * The data set that needs no download: pictures of colored shapes, drawn and described from a seed.
 *
 * A scene shows one shape somewhere, several equal shapes in a row or a column, or two different shapes
 * beside or above each other. Each has five true captions, made by a small grammar.
 *
 * @module
 */
import type { CaptionData, CaptionSplit } from "../sets/captions.ts";
import { RandomStream } from "../rng.ts";
import { type Color, type DrawnShape, drawSvg, rasterize, type Shape } from "./scene_drawing.ts";
import { Vocabulary } from "../text/vocabulary.ts";

/** Pixels along a side of the features. */
const SIDE = 16;
/** Numbers in a scene's features: the background's three, then three for each pixel. */
export const SCENE_FEATURE_DIM = 3 + 3 * SIDE * SIDE;
const CAPTION_LENGTH = 17;
const CAPTIONS_PER_SCENE = 5;

const SHAPES = ["circle", "square", "triangle", "star"] as const satisfies Shape[];
const COLORS = ["red", "green", "blue", "yellow", "purple"] as const satisfies Color[];
const BACKGROUNDS = ["white", "gray", "pink"] as const satisfies Color[];
const COUNTS = { two: 2, three: 3 } as const;
const RADII = { small: 0.13, large: 0.2 } as const;

/** Where a single shape can be, and how a caption says so. */
const PLACES = {
  left: { x: 0.25, y: 0.5, phrase: "on the left" },
  right: { x: 0.75, y: 0.5, phrase: "on the right" },
  top: { x: 0.5, y: 0.25, phrase: "at the top" },
  bottom: { x: 0.5, y: 0.75, phrase: "at the bottom" },
  middle: { x: 0.5, y: 0.5, phrase: "in the middle" },
  topLeft: { x: 0.25, y: 0.25, phrase: "in the top left corner" },
  topRight: { x: 0.75, y: 0.25, phrase: "in the top right corner" },
  bottomLeft: { x: 0.25, y: 0.75, phrase: "in the bottom left corner" },
  bottomRight: { x: 0.75, y: 0.75, phrase: "in the bottom right corner" },
} as const;

/** How several equal shapes stand, in words. */
const ARRANGEMENTS = {
  row: ["in a row", "side by side"],
  column: ["in a column", "one below the other"],
} as const;

/** How the first of two shapes stands to the second, and the second to the first. */
const RELATIONS = {
  row: ["to the left of", "to the right of"],
  column: ["above", "below"],
} as const;

type Arrangement = keyof typeof ARRANGEMENTS;

/** What kind of thing a shape is: `red circle`. */
interface Thing {
  color: typeof COLORS[number];
  shape: typeof SHAPES[number];
}

/** What a scene shows, apart from its background and the exact places. */
type Description =
  | { kind: "one"; thing: Thing; size: keyof typeof RADII; place: keyof typeof PLACES }
  | { kind: "several"; thing: Thing; count: keyof typeof COUNTS; arrangement: Arrangement }
  /** `first` is the left or the upper one. */
  | { kind: "two"; first: Thing; second: Thing; arrangement: Arrangement };

/** A scene: what can be seen, and true sentences about it. */
export interface Scene {
  /** The combination shown, written out; no scene for validation shares it with one for training. */
  description: string;
  /** The color behind the shapes. */
  background: Color;
  /** The shapes, in a picture of width and height 1. */
  shapes: DrawnShape[];
  /** Five captions, word by word. */
  captions: string[][];
}

/** How many scenes to make, and from which seed. */
export interface SceneOptions {
  /** The seed: equal seeds give equal scenes. */
  seed: number;
  /** How many scenes to learn from, 1 or more. */
  train: number;
  /** How many scenes to measure on: 1 to 300, a quarter of the combinations there are. */
  val: number;
}

function keys<T extends object>(record: T): (keyof T)[] {
  return Object.keys(record) as (keyof T)[];
}

/** Every combination, 1,200 of them, in a fixed order. */
function allDescriptions(): Description[] {
  const things = COLORS.flatMap((color) => SHAPES.map((shape): Thing => ({ color, shape })));
  const arrangements = keys(ARRANGEMENTS);
  return things.flatMap((thing): Description[] => [
    ...keys(RADII).flatMap((size) =>
      keys(PLACES).map((place): Description => ({ kind: "one", thing, size, place }))
    ),
    ...arrangements.flatMap((arrangement): Description[] => [
      ...keys(COUNTS).map((count): Description => ({ kind: "several", thing, count, arrangement })),
      ...things.filter((other) => other !== thing).map((second): Description => (
        { kind: "two", first: thing, second, arrangement }
      )),
    ]),
  ]);
}

/** Put the shapes of a description on the canvas, each a little off its place and size. */
function placeShapes(description: Description, stream: RandomStream): DrawnShape[] {
  const jitter = (width: number) => width * (2 * stream.uniform() - 1);
  const draw = (thing: Thing, x: number, y: number, radius: number): DrawnShape => ({
    shape: thing.shape,
    color: thing.color,
    x: x + jitter(0.01),
    y: y + jitter(0.01),
    radius: radius * (1 + jitter(0.04)),
  });
  if (description.kind === "one") {
    const { x, y } = PLACES[description.place];
    return [draw(description.thing, x, y, RADII[description.size])];
  }
  const things = description.kind === "two"
    ? [description.first, description.second]
    : new Array<Thing>(COUNTS[description.count]).fill(description.thing);
  const step = things.length === 2 ? 0.46 : 0.32;
  const radius = things.length === 2 ? 0.19 : 0.13;
  return things.map((thing, i) => {
    const along = 0.5 + step * (i - (things.length - 1) / 2);
    return description.arrangement === "row"
      ? draw(thing, along, 0.5, radius)
      : draw(thing, 0.5, along, radius);
  });
}

/** All sentences of the grammar about a scene, each true, with its choices of words drawn. */
function describe(description: Description, background: Color, stream: RandomStream): string[] {
  const on = `on a ${background} background`;
  const under = `a ${background} background with`;
  const named = ({ color, shape }: Thing) => `${color} ${shape}`;
  switch (description.kind) {
    case "one": {
      const thing = named(description.thing);
      const sized = `${description.size} ${thing}`;
      const place = PLACES[description.place].phrase;
      return [
        `a ${sized} ${place} ${on}`,
        `there is a ${sized} ${place}`,
        `there is a ${thing} ${on}`,
        `a ${thing} ${place} of the picture`,
        `the picture shows a ${sized} ${on}`,
        `${under} a ${sized} ${place}`,
      ];
    }
    case "several": {
      const things = `${description.count} ${named(description.thing)}s`;
      const how = () => ARRANGEMENTS[description.arrangement][stream.integer(2)];
      return [
        `${things} ${how()} ${on}`,
        `there are ${things} ${how()}`,
        `there are ${things} ${on}`,
        `the picture shows ${things} ${how()}`,
        `${under} ${things} ${how()}`,
        `${things} ${how()}`,
      ];
    }
    case "two": {
      const things = [named(description.first), named(description.second)];
      const relate = (before: string, between: string) => {
        const subject = stream.integer(2);
        const relation = RELATIONS[description.arrangement][subject];
        return `${before} ${things[subject]} ${relation} ${between} ${things[1 - subject]}`;
      };
      return [
        `${relate("a", "a")} ${on}`,
        relate("there is a", "a"),
        relate("the picture shows a", "a"),
        relate("the", "the").replace(/(circle|square|triangle|star)/, "$1 is"),
        relate(`${under} a`, "a"),
        `a ${things[0]} and a ${things[1]} ${on}`,
      ];
    }
  }
}

function makeScene(description: Description, stream: RandomStream): Scene {
  const background = BACKGROUNDS[stream.integer(BACKGROUNDS.length)];
  const shapes = placeShapes(description, stream);
  const sentences = stream.shuffle(describe(description, background, stream));
  return {
    description: JSON.stringify(description),
    background,
    shapes,
    captions: sentences.slice(0, CAPTIONS_PER_SCENE).map((sentence) => sentence.split(" ")),
  };
}

/**
 * Draw the scenes themselves. Validation gets combinations of its own; training goes round the others,
 * with another background and slightly other places each time.
 * A RangeError when a count is not possible.
 */
export function sampleScenes({ seed, train, val }: SceneOptions): { train: Scene[]; val: Scene[] } {
  const stream = new RandomStream(seed).split("scenes");
  const descriptions = stream.shuffle(allDescriptions());
  const most = descriptions.length / 4;
  if (!Number.isInteger(train) || train < 1) {
    throw new RangeError(`The count of training scenes must be an integer from 1: it is ${train}`);
  }
  if (!Number.isInteger(val) || val < 1 || val > most) {
    throw new RangeError(
      `The count of validation scenes must be an integer from 1 to ${most}: it is ${val}`,
    );
  }
  const seen = descriptions.slice(val);
  return {
    train: Array.from({ length: train }, (_, i) => makeScene(seen[i % seen.length], stream)),
    val: Array.from({ length: val }, (_, i) => makeScene(descriptions[i], stream)),
  };
}

/** Every word of the grammar, in alphabetical order: the same vocabulary for every seed. */
function sceneVocabulary(): Vocabulary {
  const words = new Set<string>();
  const stream = new RandomStream(0);
  for (const description of allDescriptions()) {
    for (const background of BACKGROUNDS) {
      for (const sentence of describe(description, background, stream)) {
        for (const word of sentence.split(" ")) words.add(word);
      }
    }
  }
  return Vocabulary.fromWords([...words].sort());
}

/**
 * The background's color, then the pixels minus it. A change of background moves every pixel at once,
 * and would drown what the shapes change if it were not taken out.
 */
function featuresOf({ background, shapes }: Scene): Float32Array<ArrayBuffer> {
  const color = rasterize(background, [], 1);
  const pixels = rasterize(background, shapes, SIDE);
  const features = new Float32Array(SCENE_FEATURE_DIM);
  features.set(color);
  features.set(pixels.map((value, i) => value - color[Math.floor(i / (SIDE * SIDE))]), 3);
  return features;
}

function makeSplit(name: string, scenes: Scene[], vocabulary: Vocabulary): CaptionSplit {
  const features = new Float32Array(scenes.length * SCENE_FEATURE_DIM);
  const captions = new Int32Array(scenes.length * CAPTIONS_PER_SCENE * CAPTION_LENGTH);
  for (const [i, scene] of scenes.entries()) {
    features.set(featuresOf(scene), i * SCENE_FEATURE_DIM);
    for (const [j, words] of scene.captions.entries()) {
      const row = i * CAPTIONS_PER_SCENE + j;
      captions.set(vocabulary.encode(words, CAPTION_LENGTH), row * CAPTION_LENGTH);
    }
  }
  return {
    features,
    pictures: scenes.map(({ background, shapes }, i) => ({
      name: `${name} scene ${i + 1}`,
      source: { kind: "svg", svg: drawSvg(background, shapes) },
    })),
    captions,
    imageIndex: Int32Array.from(
      { length: scenes.length * CAPTIONS_PER_SCENE },
      (_, i) => Math.floor(i / CAPTIONS_PER_SCENE),
    ),
  };
}

/**
 * Make a caption data set of drawn scenes. The 771 features are the background's red, green and blue, then
 * the picture's pixels minus that background, `[3, 16, 16]`. Captions have 17 tokens, `<START>` and `<END>`
 * included.
 *
 * ```ts
 * const { train, vocabulary } = makeScenes({ seed: 231, train: 20, val: 5 });
 * const words = vocabulary.decode(train.captions.subarray(0, 17));
 * if (words.length < 4) throw new Error(`too short: ${words.join(" ")}`);
 * ```
 */
export function makeScenes(options: SceneOptions): CaptionData {
  const { train, val } = sampleScenes(options);
  const vocabulary = sceneVocabulary();
  return {
    name: "scenes",
    notes: [],
    vocabulary,
    captionLength: CAPTION_LENGTH,
    featureDim: SCENE_FEATURE_DIM,
    train: makeSplit("train", train, vocabulary),
    val: makeSplit("val", val, vocabulary),
  };
}
