/** Files of weights that are made to take very long or very much memory. */
import { writeSafetensors } from "../../data/formats/safetensors.ts";
import {
  call,
  dict,
  EMPTY_DICT,
  EMPTY_TUPLE,
  global,
  int,
  type Piece,
  text,
} from "../data/formats/pth/pickler.ts";
import { tuple, word } from "../data/formats/pth/pickler.ts";
import { concat, writeZip } from "../data/formats/zip/zip_writer.ts";
import type { Attack } from "./attacks.ts";

const encoder = new TextEncoder();

/** A safetensors file of this header and so many bytes of data. */
function safetensors(header: string, dataBytes = 0): Uint8Array {
  const json = encoder.encode(header);
  const length = new Uint8Array(BigUint64Array.of(BigInt(json.length)).buffer);
  return concat(length, json, new Uint8Array(dataBytes));
}

/** Something over and over, so many bytes long. */
function repeated(piece: Uint8Array | string, bytes: number): Uint8Array {
  const once = typeof piece === "string" ? encoder.encode(piece) : piece;
  const all = new Uint8Array(bytes);
  all.set(once.subarray(0, bytes));
  for (let done = once.length; done < bytes; done *= 2) all.copyWithin(done, 0, done);
  return all;
}

const flat = (...pieces: Piece[]) => Uint8Array.from(pieces.flat(Infinity as 10) as number[]);
const PROTO = [0x80, 2], STOP = 0x2e, MARK = 0x28, REDUCE = 0x52, STORE = 0x71, RECALL = 0x68;

/** A zip of PyTorch with this pickle. */
function pth(deflated: boolean, ...parts: Uint8Array[]): Uint8Array {
  const bytes = concat(flat(PROTO), ...parts, flat(STOP));
  return writeZip([{ name: "x/data.pkl", bytes, deflated }]);
}

/** The older format with this pickle. */
function legacy(...parts: Uint8Array[]): Uint8Array {
  const start = [int(0x1950a86a20f9469cfc6cn), int(1001), dict(text("little_endian"), 0x88)];
  return concat(
    ...start.map((piece) => flat(PROTO, piece, STOP)),
    flat(PROTO),
    ...parts,
    flat(STOP),
  );
}

/** Opcodes that make values: what stands before, and what is repeated. */
const BOMBS: Record<string, [start: Piece, again: Piece]> = {
  "_codecs.encode of one text": [
    [
      ...[global("_codecs", "encode"), STORE, 0, text("x".repeat(60_000)), text("latin1"), 0x86],
      ...[STORE, 1, 0x5d, MARK],
    ],
    [RECALL, 0, RECALL, 1, REDUCE],
  ],
  "OrderedDicts made and kept": [
    [global("collections", "OrderedDict"), STORE, 0, 0x5d, MARK],
    [RECALL, 0, EMPTY_TUPLE, REDUCE],
  ],
  "OrderedDicts of one list": [
    [
      ...[global("collections", "OrderedDict"), STORE, 0, 0x5d, MARK],
      ...Array.from({ length: 3000 }, (_, i) => tuple(int(i), int(i))),
      ...[0x65, 0x85, STORE, 1, 0x5d, MARK],
    ],
    [RECALL, 0, RECALL, 1, REDUCE],
  ],
  "dicts": [[0x5d, MARK], [EMPTY_DICT]],
  "sets": [[0x5d, MARK], [0x8f]],
  "lists in lists": [[], [0x5d]],
  "tuples in tuples": [[EMPTY_TUPLE], [0x85]],
  "memo entries": [[0x4e], [0x94]],
  "marks": [[], [MARK]],
  "one item in many lists": [
    [0x5d, MARK, Array(3000).fill(0x4e), 0x65, STORE, 1, 0x5d, MARK],
    [0x5d, MARK, RECALL, 1, RECALL, 1, 0x65],
  ],
  "None and its removal": [[], [0x4e, 0x30]],
  "frames": [[], [0x95, word(0), word(0)]],
  "long texts joined to a name": [
    [text("a".repeat(400_000)), STORE, 0],
    [RECALL, 0, RECALL, 0, 0x93, 0x30],
  ],
  "shapes of many dimensions": [
    [MARK, Array(1_000_000).fill([0x4b, 1]), 0x74, STORE, 0],
    [
      ...[global("torch._utils", "_rebuild_tensor_v2"), 0x4e, int(0), RECALL, 0, RECALL, 0],
      ...[0x89, EMPTY_DICT],
    ],
  ],
};

const MB = 1_000_000;

export const WEIGHT_ATTACKS: Attack[] = [
  ...([
    ["arrays nested 5 million deep", () => `{"a":${"[".repeat(5e6)}${"]".repeat(5e6)}}`],
    ["90 MB of braces", () => "{".repeat(90 * MB)],
    ["25 MB of braces", () => `{"":`.repeat(25 * MB / 4)],
    ["90 MB of tensors", () => tensors(90 * MB)],
    ["25 MB of tensors", () => tensors(25 * MB)],
    ["90 MB of metadata", () => `{"__metadata__":{"a":"${"x".repeat(90 * MB)}"}}`],
    ["30 MB of metadata", () => `{"__metadata__":{"a":"${"é".repeat(15 * MB)}"}}`],
    ["30 MB of small metadata", () => `{"__metadata__":{${entries(30 * MB, '""')}}}`],
    ["30 MB of one key", () => `{${'"a":1,'.repeat(5 * MB)}"b":1}`],
    [
      "100,000 names that share a place in a table",
      () => `{${Array.from({ length: 100_000 }, (_, i) => `"${i * 32_768}":{}`).join()}}`,
    ],
    ["30 MB of escapes", () => `{"${"\\u0061".repeat(5 * MB)}":{}}`],
    ["30 MB of slashes", () => `{"${"\\".repeat(30 * MB)}":{}}`],
    [
      "a shape of 15 million dimensions",
      () => `{"a":{"dtype":"U8","shape":[${"1,".repeat(15 * MB)}1],"data_offsets":[0,1]}}`,
    ],
    [
      "a shape of 400,000 dimensions",
      () => `{"a":{"dtype":"U8","shape":[${"1,".repeat(400_000)}1],"data_offsets":[0,1]}}`,
    ],
    ["a name of 30 MB", () => `{"${"x".repeat(30 * MB)}":{}}`],
    ["a name that clears the screen", () => `{"\\u001b[2J\\r\\n":{}}`],
  ] as [string, () => string][]).map(([name, header]): Attack => ({
    name: `safetensors: ${name}`,
    format: "safetensors",
    make: () => safetensors(header()),
  })),
  ...Object.entries(BOMBS).flatMap(([name, [start, again]]): Attack[] => [
    {
      name: `.pth, zip: ${name}, 3 MB packed`,
      format: "weights",
      make: () => pth(true, flat(start), repeated(flat(again), 3 * MB)),
    },
    {
      name: `.pth, zip: ${name}, 60 MB`,
      format: "weights",
      make: () => pth(false, flat(start), repeated(flat(again), 60 * MB)),
    },
    {
      name: `.pth, older: ${name}, 60 MB`,
      format: "weights",
      make: () => legacy(flat(start), repeated(flat(again), 60 * MB)),
    },
  ]),
  ...([
    ["a global of 100 MB", () => [flat(0x63), repeated("x", 100 * MB), encoder.encode("\nx\n")]],
    [
      "a key of 100 MB",
      () => [flat(EMPTY_DICT, 0x58, word(100 * MB)), repeated("x", 100 * MB), flat(0x4e, 0x73)],
    ],
    [
      "a key of 60 MB of two bytes each",
      () => [flat(EMPTY_DICT, 0x58, word(60 * MB)), repeated("é", 60 * MB), flat(0x4e, 0x73)],
    ],
    [
      "numbers that share a place in a table",
      () => [flat(EMPTY_DICT, MARK), collisions(), flat(0x75)],
    ],
    [
      "texts that share a place in a table",
      () => [
        flat(EMPTY_DICT, MARK),
        flat(Array.from({ length: 100_000 }, (_, i) => [shortText(`${i * 32_768}`), 0x4e])),
        flat(0x75),
      ],
    ],
    ["an int of 255 bytes", () => [flat(0x8a, 255), repeated("x", 255)]],
  ] as [string, () => Uint8Array[]][]).flatMap(([name, parts]): Attack[] => [
    { name: `.pth, zip: ${name}`, format: "weights", make: () => pth(false, ...parts()) },
    { name: `.pth, older: ${name}`, format: "weights", make: () => legacy(...parts()) },
  ]),
  {
    name: ".pth: 1e12 repeats of one number",
    format: "weights",
    make: () => views(1, [["a", Array(4).fill(1000), Array(4).fill(0)]]),
  },
  ...[3, 16].map((count): Attack => ({
    name: `.pth: 40 MB seen ${count} times by columns`,
    format: "weights",
    make: () => {
      const columns = Array.from({ length: count }, (_, i): ViewOf => [
        ...[`${i}`, [2000, 20_000], [1, 2000]] as const,
      ]);
      return views(40 * MB, columns);
    },
  })),
  {
    name: "npy: a shape of 10,000 dimensions",
    format: "npy",
    make: () => npy(`(${"1, ".repeat(10_000)})`),
  },
  {
    name: "npy: a header of 65 kB of spaces",
    format: "npy",
    make: () => npy(`(1${" ".repeat(65_000)})`),
  },
  {
    name: "npz: a bomb of 1 GB",
    format: "weights",
    make: () =>
      writeZip([{ name: "a.npy", bytes: new Uint8Array(1_000_000), method: 8, size: 1e9 }]),
  },
  {
    name: "weights of a million classes without numbers",
    format: "network",
    make: async (path) => {
      const none = new Float32Array(0);
      await writeSafetensors(
        path,
        new Map([
          ["features.0.weight", {
            dtype: "F32",
            shape: [64, 3, 3, 3],
            data: new Float32Array(1728),
          }],
          ["features.3.squeeze.weight", { dtype: "F32", shape: [1e12, 0], data: none }],
          ["classifier.1.weight", { dtype: "F32", shape: [1e12, 0], data: none }],
        ]),
      );
    },
  },
];

/** A tensor's name, its sizes and its strides. */
type ViewOf = readonly [name: string, shape: readonly number[], strides: readonly number[]];

/** A zip of PyTorch with a storage of so many bytes, and tensors that see it. */
function views(bytes: number, tensors: readonly ViewOf[]): Uint8Array {
  const id = [text("storage"), global("torch", "ByteStorage"), text("0"), text("cpu"), int(bytes)];
  const rebuild = global("torch._utils", "_rebuild_tensor_v2");
  const items = tensors.flatMap(([name, shape, strides]) => [
    text(name),
    call(
      rebuild,
      ...[[tuple(...id), 0x51], int(0)],
      ...[shape, strides].map((numbers) => tuple(...numbers.map(int))),
      ...[0x89, EMPTY_DICT],
    ),
  ]);
  return writeZip([
    { name: "x/data.pkl", bytes: flat(PROTO, dict(...items), STOP) },
    { name: "x/data/0", bytes: new Uint8Array(bytes) },
  ]);
}

/** Entries of distinct keys, so many bytes of them. */
function entries(bytes: number, value: string): string {
  const count = Math.floor(bytes / (value.length + 10));
  return Array.from({ length: count }, (_, i) => `"${1e6 + i}":${value}`).join();
}

function tensors(bytes: number): string {
  const one = `{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`;
  return `{${entries(bytes, one)}}`;
}

function npy(shape: string): Uint8Array {
  const header = encoder.encode(`{'descr': '|u1', 'fortran_order': False, 'shape': ${shape}, }\n`);
  const length = new Uint8Array(Uint32Array.of(header.length).buffer);
  return concat(flat(0x93, [...encoder.encode("NUMPY")], 2, 0), length, header, flat(0));
}

function shortText(value: string): Piece {
  return [0x8c, value.length, [...encoder.encode(value)]];
}

/** The engine's hash of a small whole number, which is not seeded. */
function hash(key: number): number {
  let h = key >>> 0;
  h = (~h + (h << 15)) >>> 0;
  h = (h ^ (h >>> 12)) >>> 0;
  h = (h + (h << 2)) >>> 0;
  h = (h ^ (h >>> 4)) >>> 0;
  h = Math.imul(h, 2057) >>> 0;
  h = (h ^ (h >>> 16)) >>> 0;
  return h & 0x3fffffff;
}

/** Ints as keys that all fall into few places of the engine's table, each with None. */
function collisions(): Uint8Array {
  const found: number[][] = [];
  for (let key = 0; found.length < 100_000 && key < 1 << 30; key++) {
    if ((hash(key) & 0x3fff) === 0) found.push([0x4a, ...word(key), 0x4e]);
  }
  return Uint8Array.from(found.flat());
}
