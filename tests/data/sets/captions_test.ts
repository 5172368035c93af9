import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type CaptionSplit,
  referencesByImage,
  spread,
  spreadPictures,
  standardize,
  standardizer,
  takeCaptions,
} from "../../../data/sets/captions.ts";
import { RandomStream } from "../../../data/rng.ts";
import { END, NULL, START, UNK, Vocabulary } from "../../../data/text/vocabulary.ts";
import { UserError } from "../../../data/files/user_error.ts";

const vocabulary = Vocabulary.fromWords(["zero", "one", "two", "three", "four", "five", "again"]);

/** Six images with features [i, 10 i] and a caption that names each; image 2 has a second one. */
function smallSplit(): CaptionSplit {
  const names = ["zero", "one", "two", "three", "four", "five", "two again"];
  return {
    features: Float32Array.from({ length: 12 }, (_, i) => Math.floor(i / 2) * (i % 2 ? 10 : 1)),
    pictures: Array.from({ length: 6 }, (_, i) => ({
      name: `picture ${i}`,
      source: { kind: "url", url: `https://example.org/${i}.jpg` },
    })),
    captions: Int32Array.from(names.flatMap((text) => [...vocabulary.encode(text.split(" "), 5)])),
    imageIndex: Int32Array.of(0, 1, 2, 3, 4, 5, 2),
  };
}

Deno.test("takeCaptions() keeps each caption with its picture and features", () => {
  const numbers = ["zero", "one", "two", "three", "four", "five"];
  for (let n = 1; n <= 7; n++) {
    const taken = takeCaptions(smallSplit(), n, new RandomStream(n));
    assertEquals(taken.imageIndex.length, n);
    assertEquals(taken.captions.length, 5 * n);
    assertEquals(taken.features.length, 2 * taken.pictures.length);
    assertEquals(new Set(taken.imageIndex).size, taken.pictures.length);
    const captions = referencesByImage(taken, vocabulary);
    assertEquals(captions.flat().length, n);
    for (const [image, texts] of captions.entries()) {
      const number = numbers.indexOf(texts[0][0]);
      assertEquals(taken.pictures[image].name, `picture ${number}`);
      assertEquals([...taken.features.subarray(2 * image, 2 * image + 2)], [number, 10 * number]);
    }
  }
});

Deno.test("takeCaptions() of all captions gives the split back, in order", () => {
  assertEquals(takeCaptions(smallSplit(), 7, new RandomStream(1)), smallSplit());
});

Deno.test("takeCaptions() draws by the stream, without replacement", () => {
  const take = (seed: number) => takeCaptions(smallSplit(), 3, new RandomStream(seed));
  assertEquals(take(1), take(1));
  const seen = new Set(Array.from({ length: 60 }, (_, seed) => take(seed).captions.join()));
  assert(seen.size > 15, `60 seeds gave ${seen.size} choices`);
  for (const n of [0, 8, 1.5]) {
    assertThrows(() => takeCaptions(smallSplit(), n, new RandomStream(0)), RangeError, "1 to 7");
  }
});

Deno.test("referencesByImage() groups all captions of an image", () => {
  const references = referencesByImage(smallSplit(), vocabulary);
  assertEquals(references.map((list) => list.length), [1, 1, 2, 1, 1, 1]);
  assertEquals(references[2], [["two"], ["two", "again"]]);
});

Deno.test("standardize() gives each column mean 0 and deviation 1", () => {
  const stream = new RandomStream(4);
  const features = Float32Array.from({ length: 3 * 50 }, (_, i) => stream.normal() * 3 + i % 3);
  const scaled = standardize(features, standardizer(features, 3));
  for (let column = 0; column < 3; column++) {
    const values = Array.from({ length: 50 }, (_, row) => scaled[row * 3 + column]);
    const mean = values.reduce((a, b) => a + b) / 50;
    assert(Math.abs(mean) < 1e-6);
    assert(Math.abs(values.reduce((a, b) => a + (b - mean) ** 2, 0) / 50 - 1) < 1e-5);
  }
});

Deno.test("standardizer() leaves a constant column alone, also a large one", () => {
  const features = Float32Array.of(0.1, 1e6, 0.1, 1e6, 0.1, 1e6);
  const measured = standardizer(features, 2);
  assertEquals([...measured.deviation], [1, 1]);
  const scaled = standardize(features, measured);
  assert(scaled.every((value) => Math.abs(value) < 1e-6), `got ${scaled}`);
});

Deno.test("standardizer() rejects features that are no whole rows", () => {
  assertThrows(() => standardizer(new Float32Array(5), 2), TypeError, "rows of 2");
  assertThrows(() => standardizer(new Float32Array(0), 2), TypeError, "there are 0");
  assertThrows(() => standardizer(new Float32Array(4), 0), TypeError, "rows of 0");
  const two = standardizer(new Float32Array(4), 2);
  assertThrows(() => standardize(new Float32Array(3), two), TypeError);
});

Deno.test("Vocabulary encodes with padding and decodes to the end", () => {
  assertEquals([NULL, START, END, UNK], [0, 1, 2, 3]);
  assertEquals(vocabulary.size, 11);
  assertEquals(vocabulary.index("one"), 5);
  assertEquals(vocabulary.index("<END>"), END);
  assertEquals(vocabulary.index("constructor"), UNK);
  assertEquals([...vocabulary.encode(["one", "dog"], 4)], [1, 5, 3, 2]);
  assertThrows(() => vocabulary.encode(["one", "two"], 3), RangeError, "at least 4");
  assertEquals(vocabulary.decode([1, 5, 0, 6, 2, 7]), ["one", "two"]);
  assertThrows(() => vocabulary.decode([11]), RangeError, "from 0 to 10: it is 11");
  assertThrows(() => vocabulary.decode([-1]), RangeError);
});

Deno.test("Vocabulary rejects words twice and a missing special token", () => {
  assertThrows(() => Vocabulary.fromWords(["a", "b", "a"]), UserError, `"a" is word 4 and 6`);
  assertThrows(() => new Vocabulary(["a", "b"]), UserError, `word 0 is "a"`);
  assertThrows(() => new Vocabulary(["<NULL>"]), UserError, "word 1 is missing");
});

Deno.test("spreadPictures() keeps pictures from all over a split, with all their captions", () => {
  const split = smallSplit();
  const some = spreadPictures(split, 3);
  assertEquals(some.pictures.map(({ name }) => name), ["picture 0", "picture 2", "picture 4"]);
  assertEquals([...some.features], [0, 0, 2, 20, 4, 40]);
  assertEquals([...some.imageIndex], [0, 1, 2, 1]);
  assertEquals(referencesByImage(some, vocabulary), [[["zero"]], [["two"], ["two", "again"]], [[
    "four",
  ]]]);
  assertEquals(spreadPictures(split, 6), split);
  assertEquals(spreadPictures(split, 100), split);
});

Deno.test("spread() gives every number once when there are not more than asked for", () => {
  assertEquals(spread(3, 5), [0, 1, 2]);
  assertEquals(spread(7, 3), [0, 2, 4]);
  assertEquals(spread(0, 3), []);
});
