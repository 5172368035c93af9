import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { referencesByImage } from "../../../data/sets/captions.ts";
import { type DrawnShape, drawSvg, rasterize } from "../../../data/made/scene_drawing.ts";
import { makeScenes, sampleScenes, type Scene } from "../../../data/made/scenes.ts";
import { END, NULL, START } from "../../../data/text/vocabulary.ts";

const options = { seed: 231, train: 1200, val: 300 };
const NOUNS =
  /^(?:(small|large) )?(red|green|blue|yellow|purple) (circle|square|triangle|star)(s?)$/;

/** The shapes of a scene that the words name. */
function findThings(words: string, { shapes }: Scene): DrawnShape[] {
  const match = NOUNS.exec(words);
  assert(match !== null, `not a thing: "${words}"`);
  const [, size, color, shape] = match;
  return shapes.filter((drawn) =>
    drawn.color === color && drawn.shape === shape &&
    (size === undefined || (size === "large") === (drawn.radius > 0.165))
  );
}

/** Whether a place's words fit a point, by thirds of the picture. */
function isAt(place: string, { x, y }: DrawnShape): boolean {
  const third = (value: number) => value < 0.4 ? 0 : value > 0.6 ? 2 : 1;
  const column = place.includes("left") ? 0 : place.includes("right") ? 2 : 1;
  const row = place.includes("top") ? 0 : place.includes("bottom") ? 2 : 1;
  return third(x) === column && third(y) === row;
}

/** Whether a sentence is true of a scene; written apart from the grammar that makes sentences. */
function isTrue(sentence: string, scene: Scene): boolean {
  let text = sentence;
  const on = /^(?:a (\w+) background with (.*)|(.*) on a (\w+) background)$/.exec(text);
  if (on !== null) {
    if ((on[1] ?? on[4]) !== scene.background) return false;
    text = on[2] ?? on[3];
  }
  text = text.replace(/^(there is|there are|the picture shows) /, "").replace(
    / of the picture$/,
    "",
  );

  const relation =
    /^(?:a|the) (.*?)(?: is)? (above|below|to the left of|to the right of) (?:a|the) (.*)$/
      .exec(text);
  if (relation !== null) {
    const [first, second] = [findThings(relation[1], scene), findThings(relation[3], scene)];
    if (first.length !== 1 || second.length !== 1) return false;
    const [dx, dy] = [second[0].x - first[0].x, second[0].y - first[0].y];
    switch (relation[2]) {
      case "above":
        return dy > 0.2 && Math.abs(dx) < 0.1;
      case "below":
        return dy < -0.2 && Math.abs(dx) < 0.1;
      case "to the left of":
        return dx > 0.2 && Math.abs(dy) < 0.1;
      default:
        return dx < -0.2 && Math.abs(dy) < 0.1;
    }
  }
  const pair = /^a (.*) and a (.*)$/.exec(text);
  if (pair !== null) {
    return scene.shapes.length === 2 &&
      [pair[1], pair[2]].every((words) => findThings(words, scene).length === 1);
  }
  const several =
    /^(two|three) (.*?s)(?: (in a row|side by side|in a column|one below the other))?$/
      .exec(text);
  if (several !== null) {
    const things = findThings(several[2], scene);
    const count = several[1] === "two" ? 2 : 3;
    if (things.length !== count || scene.shapes.length !== count) return false;
    if (several[3] === undefined) return true;
    const axis = several[3] === "in a row" || several[3] === "side by side" ? "x" : "y";
    const across = axis === "x" ? "y" : "x";
    return things.every((thing, i) =>
      Math.abs(thing[across] - 0.5) < 0.1 && (i === 0 || thing[axis] - things[i - 1][axis] > 0.2)
    );
  }
  const one = /^a (.*?)(?: ((?:on|at|in) the .*))?$/.exec(text);
  assert(one !== null, `not understood: "${sentence}"`);
  const things = findThings(one[1], scene);
  return scene.shapes.length === 1 && things.length === 1 &&
    (one[2] === undefined || isAt(one[2], things[0]));
}

Deno.test("sampleScenes() gives captions that are true of their scenes", () => {
  const { train, val } = sampleScenes(options);
  const shapes = new Set<number>();
  for (const scene of [...train, ...val]) {
    shapes.add(scene.shapes.length);
    assertEquals(scene.captions.length, 5);
    for (const words of scene.captions) {
      const sentence = words.join(" ");
      assert(isTrue(sentence, scene), `"${sentence}" of ${JSON.stringify(scene)}`);
    }
  }
  assertEquals([...shapes].sort(), [1, 2, 3]);
});

Deno.test("sampleScenes() gives captions that are false of most other scenes", () => {
  // This tests the checker above as much as the captions.
  const { train } = sampleScenes({ ...options, train: 200 });
  let held = 0;
  for (const [i, scene] of train.entries()) {
    held += Number(isTrue(scene.captions[0].join(" "), train[(i + 1) % train.length]));
  }
  assert(held <= 4, `${held} of 200 captions fit the next scene too`);
});

Deno.test("sampleScenes() keeps the combinations of validation out of training", () => {
  const { train, val } = sampleScenes({ ...options, train: 2000 });
  const seen = new Set(train.map((scene) => scene.description));
  assertEquals(seen.size, 900);
  assertEquals(new Set(val.map((scene) => scene.description)).size, 300);
  for (const scene of val) assert(!seen.has(scene.description), scene.description);

  // The same told by what is drawn: colors, shapes and rough places in reading order.
  const seenDrawn = new Set(train.map(drawn));
  for (const scene of val) assert(!seenDrawn.has(drawn(scene)), drawn(scene));
});

function drawn({ shapes }: Scene): string {
  const rough = (value: number) => Math.round(value * 10);
  return shapes.map(({ color, shape, x, y, radius }) =>
    [color, shape, rough(x), rough(y), radius > 0.165].join(" ")
  ).sort().join(", ");
}

Deno.test("makeScenes() is the same for a seed, and another for another seed", () => {
  const small = { seed: 5, train: 30, val: 10 };
  assertEquals(makeScenes(small), makeScenes(small));
  const other = makeScenes({ ...small, seed: 6 });
  assertNotEquals(makeScenes(small).train.captions, other.train.captions);
  assertEquals(makeScenes(small).vocabulary.words, other.vocabulary.words);
});

Deno.test("makeScenes() stores well-formed captions over a small vocabulary", () => {
  const data = makeScenes(options);
  assertEquals([data.captionLength, data.featureDim], [17, 771]);
  assert(data.vocabulary.size < 100);
  const used = new Set<number>();
  for (const [name, split] of [["train", data.train], ["val", data.val]] as const) {
    const count = options[name];
    assertEquals(split.pictures.length, count);
    assertEquals(split.features.length, count * 771);
    assertEquals(split.imageIndex.length, 5 * count);
    assertEquals(split.captions.length, 5 * count * 17);
    for (let c = 0; c < 5 * count; c++) {
      const ids = [...split.captions.subarray(17 * c, 17 * (c + 1))];
      const end = ids.indexOf(END);
      assert(ids[0] === START && end >= 5 && end <= 16, `caption ${c}: ${ids}`);
      assert(ids.slice(end + 1).every((id) => id === NULL));
      assert(ids.slice(1, end).every((id) => id > 3 && id < data.vocabulary.size));
      if (name === "train") ids.forEach((id) => used.add(id));
    }
    for (const captions of referencesByImage(split, data.vocabulary)) {
      assertEquals(new Set(captions.map((words) => words.join(" "))).size, 5);
    }
  }
  // Every word but <UNK> is there to learn.
  assertEquals(used.size, data.vocabulary.size - 1);
});

Deno.test("makeScenes() gives the background, then the pixels minus it, and an SVG", () => {
  const { val } = makeScenes({ seed: 7, train: 1, val: 40 });
  const scenes = sampleScenes({ seed: 7, train: 1, val: 40 }).val;
  for (const [i, scene] of scenes.entries()) {
    const features = val.features.subarray(771 * i, 771 * (i + 1));
    const pixels = rasterize(scene.background, scene.shapes, 16);
    for (let k = 0; k < 768; k++) {
      assertAlmostEquals(features[3 + k] + features[Math.floor(k / 256)], pixels[k], 1e-6);
    }
    const changed = features.subarray(3).filter((value) => Math.abs(value) > 0.01).length;
    assert(changed > 15 && changed < 500, `${changed} features differ from the background`);
    const { source } = val.pictures[i];
    assert(source.kind === "svg" && source.svg === drawSvg(scene.background, scene.shapes));
  }
});

Deno.test("makeScenes() rejects counts that are not possible", () => {
  for (const val of [0, 301, 1.5]) {
    assertThrows(
      () => makeScenes({ seed: 0, train: 10, val }),
      RangeError,
      `1 to 300: it is ${val}`,
    );
  }
  for (const train of [0, NaN]) {
    assertThrows(() => makeScenes({ seed: 0, train, val: 1 }), RangeError, `it is ${train}`);
  }
  assertThrows(() => makeScenes({ seed: -1, train: 1, val: 1 }), RangeError, "seed");
});

const at = (shape: DrawnShape["shape"]): DrawnShape => ({
  shape,
  color: "blue",
  x: 0.5,
  y: 0.5,
  radius: 0.3,
});

Deno.test("rasterize() covers as much of the picture as the shapes' areas", () => {
  const areas = {
    circle: Math.PI,
    square: 4,
    triangle: 3 * Math.sqrt(3) / 4 * 1.25 ** 2,
    // Ten triangles between an outer and an inner corner.
    star: 10 * Math.sin(Math.PI / 5) * 1.3 * 0.42 / 2,
  };
  for (const [shape, area] of Object.entries(areas) as [DrawnShape["shape"], number][]) {
    const pixels = rasterize("white", [at(shape)], 20);
    let covered = 0;
    // Red goes from 1 on white to 25 / 255 on blue.
    for (let i = 0; i < 400; i++) covered += (1 - pixels[i]) / (1 - 25 / 255) / 400;
    assertAlmostEquals(covered, area * 0.3 ** 2, 0.006, shape);
  }
});

Deno.test("rasterize() puts later shapes on top, in red, green and blue planes", () => {
  const below = at("square");
  const pixels = rasterize("gray", [below, { ...at("circle"), color: "yellow" }], 9);
  const middle = (plane: number) => Math.round(255 * pixels[plane * 81 + 40]);
  assertEquals([middle(0), middle(1), middle(2)], [240, 200, 0]);
  assertEquals(Math.round(255 * pixels[0]), 190);
});

Deno.test("drawSvg() draws the background and one element a shape", () => {
  const svg = drawSvg("pink", [at("circle"), at("star"), at("square")]);
  assert(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><rect '));
  assertEquals(svg.match(/<circle cx="50.0" cy="50.0" r="30.0"/g)?.length, 1);
  const corners = [...svg.matchAll(/points="([^"]*)"/g)].map((match) => match[1].split(" ").length);
  assertEquals(corners, [10, 4]);
  assert(svg.endsWith("</svg>"));
});
