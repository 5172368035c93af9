/** Pickles for tests, opcode by opcode. */

const encoder = new TextEncoder();

/** What a pickle is written of: opcodes and pieces of them. */
export type Piece = number | readonly Piece[];

/** A pickle of protocol 2. */
export function pickle(...pieces: Piece[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([0x80, 2, ...pieces.flat(Infinity as 10) as number[], 0x2e]);
}

export const MARK = 0x28, TUPLE = 0x74, NONE = 0x4e, EMPTY_TUPLE = 0x29;
export const EMPTY_LIST = 0x5d, APPEND = 0x61, APPENDS = 0x65;
export const EMPTY_DICT = 0x7d, SETITEM = 0x73, SETITEMS = 0x75;
export const REDUCE = 0x52, BUILD = 0x62, BINPERSID = 0x51, DUP = 0x32, POP = 0x30;

/** A text, as Python 3 has it. */
export function text(value: string): Piece {
  const bytes = encoder.encode(value);
  return [0x58, word(bytes.length), [...bytes]];
}

/** An unsigned 32-bit number, little-endian, without an opcode. */
export function word(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => value >>> shift & 0xff);
}

/** An int, written in 16 bytes. */
export function int(value: number | bigint): Piece {
  const bytes = Array.from({ length: 16 }, (_, i) => BigInt(value) >> BigInt(8 * i));
  return [0x8a, 16, bytes.map((byte) => Number(byte & 0xffn))];
}

/** A global by module and name. */
export function global(module: string, name: string): Piece {
  return [0x63, [...encoder.encode(`${module}\n${name}\n`)]];
}

/** A tuple. */
export function tuple(...items: Piece[]): Piece {
  return [MARK, items, TUPLE];
}

/** A call. */
export function call(callee: Piece, ...args: Piece[]): Piece {
  return [callee, tuple(...args), REDUCE];
}

/** A dict of keys and values in turn. */
export function dict(...items: Piece[]): Piece {
  return [EMPTY_DICT, MARK, items, SETITEMS];
}
