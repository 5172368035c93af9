/**
 * The lines of GloVe's text format, from bytes: `readGlove` hands them in one by one.
 *
 * @module
 */
import { TextMap } from "../files/table_keys.ts";
import { quote } from "../files/messages.ts";
import { UserError } from "../files/user_error.ts";

/** Vectors of words, all of one width. */
export interface WordVectors {
  /** How many numbers a vector has. */
  width: number;
  /** The vector of each word, `[width]`, in the file's order. */
  vectors: Map<string, Float32Array>;
  /** How many lines with a vector were read, also those not kept. */
  lines: number;
  /** What was odd in the file and left out of it, a sentence each; empty when nothing was. */
  notes: string[];
}

/** Which vectors `readGlove` keeps: all when neither is given, those of both when both are. */
export interface GloveOptions {
  /** Keep the vectors of these words: a `Set`, a `Map` or the like. */
  wanted?: { has(word: string): boolean };
  /** Keep the vectors of the first so many words, a count from 0. Such files are sorted by frequency. */
  first?: number;
}

/** What a byte can be: part of a number, white space inside a line, or anything else. */
const OTHER = 0, NUMERIC = 1, SPACE = 2;
const KINDS = new Uint8Array(256).fill(OTHER);
for (const character of "0123456789+-.eE") KINDS[character.charCodeAt(0)] = NUMERIC;
for (const character of " \t\r") KINDS[character.charCodeAt(0)] = SPACE;

/** Real files have an odd line in some hundred thousand. With more than these it is another kind of file. */
const FEW_LEFT_OUT = 10, SHARE_LEFT_OUT = 0.01;

/** So many lines are read before it is said of a file that it is none: its first may be the odd ones. */
const ENOUGH_LEFT_OUT = 1000;

/** Takes in the lines of one file, one after the other. */
export class LineReader {
  /** Lines read so far. */
  line = 0;
  #path: string;
  #options: GloveOptions;
  #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #vectors: Map<string, Float32Array> = new TextMap();
  #lines = 0;
  #width = 0;
  /** How many vectors a header announces. */
  #announced: number | undefined;
  /** Lines that could not be read, and what is wrong with the first. */
  #leftOut = 0;
  #firstFault: UserError | undefined;
  /** Whether the file has no line end behind its last line. */
  #unfinished = false;
  /** Empty lines since the last one that was not: at the end of the file they say nothing. */
  #empty = 0;

  constructor(path: string, options: GloveOptions) {
    this.#path = path;
    this.#options = options;
  }

  /** Throw the UserError for the line read last, or for the one after it. */
  fail(reason: string, after = 0): never {
    throw this.#fault(reason, after);
  }

  #fault(reason: string, after = 0): UserError {
    return new UserError(`${this.#path}, line ${this.line + after}: ${reason}`);
  }

  /** Take in the line from `start` up to `end`, where its line end stands. One that is odd is left out. */
  read(bytes: Uint8Array, start: number, end: number): void {
    this.line++;
    if (this.line === 1) {
      const marked = bytes[start] === 0xef && bytes[start + 1] === 0xbb &&
        bytes[start + 2] === 0xbf;
      if (marked) start += 3;
      this.#checkStart(bytes, start, end);
      if (this.#readFirst(bytes.subarray(start, end))) return;
    }
    if (start === skipSpaces(bytes, end, start)) {
      this.#empty++;
      return;
    }
    this.#leftOut += this.#empty;
    if (this.#empty > 0) this.#firstFault ??= this.#fault("this line is empty", -this.#empty);
    this.#empty = 0;
    try {
      this.#readVector(bytes, start, end);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#firstFault ??= error;
      this.#leftOut++;
      if (this.#leftOut > ENOUGH_LEFT_OUT) this.#checkLeftOut();
    }
  }

  /** Take in the rest of a file that has no line end behind it: its last line must be whole. */
  readLast(bytes: Uint8Array, start: number, end: number): void {
    if (start === skipSpaces(bytes, end, start)) return;
    const [before, fault] = [this.#leftOut, this.#firstFault];
    this.#firstFault = undefined;
    this.read(bytes, start, end);
    if (this.#leftOut > before && this.#firstFault !== undefined) {
      this.line--;
      this.fail("the file ends early, inside this line: get it anew", 1);
    }
    this.#firstFault = fault;
    this.#unfinished = true;
  }

  #checkStart(bytes: Uint8Array, start: number, end: number): void {
    if (start === end || KINDS[bytes[start]] === SPACE) {
      this.fail("a line must start with a word: this one is empty or starts with white space");
    }
  }

  #readVector(bytes: Uint8Array, start: number, end: number): void {
    this.#checkStart(bytes, start, end);
    // From the back, because only the word can hold spaces.
    const numbersEnd = skipSpaces(bytes, end);
    let numbersStart = numbersEnd;
    let wordEnd = numbersEnd;
    for (let field = 0; field < this.#width; field++) {
      numbersStart = wordEnd;
      while (KINDS[bytes[numbersStart - 1]] === NUMERIC) numbersStart--;
      const isField = numbersStart < wordEnd && KINDS[bytes[numbersStart - 1]] === SPACE;
      if (!isField) this.#explain(bytes.subarray(start, end));
      wordEnd = skipSpaces(bytes, numbersStart);
    }

    const word = this.#decode(bytes.subarray(start, wordEnd));
    // A word that ends with a number by itself is a line with too many numbers.
    if (/[ \t\r]/.test(word) && isNumber(splitFields(word).pop())) {
      this.#explain(bytes.subarray(start, end));
    }
    if (this.#keeps(word)) {
      this.#vectors.set(word, this.#parse(this.#decode(bytes.subarray(numbersStart, numbersEnd))));
    }
    this.#lines++;
  }

  /** What was read. */
  finish(): WordVectors {
    if (this.line === 0) {
      throw new UserError(`${this.#path} is empty: it must hold a word and its vector a line`);
    }
    if (this.#leftOut > 0) this.#checkLeftOut();
    if (this.#lines === 0) this.fail("the file ends here, and holds no vector");
    return {
      width: this.#width,
      vectors: this.#vectors,
      lines: this.#lines,
      notes: this.#notes(),
    };
  }

  #checkLeftOut(): void {
    const isFew = this.#leftOut < this.#lines &&
      (this.#leftOut <= FEW_LEFT_OUT || this.#leftOut <= SHARE_LEFT_OUT * this.line);
    if (isFew || this.#firstFault === undefined) return;
    const { message } = this.#firstFault;
    throw this.#leftOut === 1
      ? this.#firstFault
      : new UserError(`${message} (${this.#leftOut} of ${this.line} lines cannot be read)`);
  }

  #notes(): string[] {
    const notes: string[] = [];
    if (this.#leftOut > 0) {
      const lines = this.#leftOut === 1 ? "1 line was" : `${this.#leftOut} lines were`;
      notes.push(`${lines} left out, the first for this: ${this.#firstFault?.message}`);
    }
    const there = this.#lines + this.#leftOut;
    if (this.#announced !== undefined && this.#announced !== there) {
      notes.push(
        `${this.#path} has ${there} vectors, but line 1 says ${this.#announced}: is it whole?`,
      );
    } else if (this.#unfinished && this.#announced === undefined) {
      notes.push(`The last line of ${this.#path} has no line end: is it whole?`);
    }
    return notes;
  }

  /** Take the width from line 1. True when the line is a header, `count width`, and no vector. */
  #readFirst(bytes: Uint8Array): boolean {
    const fields = splitFields(new TextDecoder().decode(bytes));
    if (fields.length === 2 && fields.every((field) => /^\d+$/.test(field))) {
      [this.#announced, this.#width] = fields.map(Number);
      if (this.#announced > 0 && this.#width > 0) return true;
      this.fail(`a header's count and width must be above 0: they are ${fields.join(" and ")}`);
    }
    if (fields.length < 2) {
      this.fail(`a line must hold a word and its numbers: this one is ${quote(fields.join(" "))}`);
    }
    this.#width = fields.length - 1;
    return false;
  }

  /** Say what is wrong with a line that cannot be read. */
  #explain(bytes: Uint8Array): never {
    const fields = splitFields(new TextDecoder().decode(bytes));
    const width = this.#width;
    const wrong = fields.slice(1).slice(-width).find((field) => !isNumber(field));
    if (wrong !== undefined && fields.length > width) this.#failNumber(wrong);
    const last = fields.length <= width ? 0 : fields.findLastIndex((field) => !isNumber(field));
    const words = fields.slice(0, Math.max(last, 0) + 1);
    const where = this.#announced === undefined ? "as line 1 has" : "as line 1 says";
    const found = `${fields.length - words.length}: the word is ${quote(words.join(" "), 40)}`;
    this.fail(`expected ${width} numbers after the word, ${where}, and found ${found}`);
  }

  #failNumber(field: string): never {
    this.fail(`${quote(field)} is no finite number; after the word come ${this.#width} numbers`);
  }

  #decode(bytes: Uint8Array): string {
    try {
      return this.#decoder.decode(bytes);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return this.fail(
        `words must be UTF-8, but this one is not: ${quote(new TextDecoder().decode(bytes))}`,
      );
    }
  }

  #keeps(word: string): boolean {
    const { wanted, first } = this.#options;
    if (this.#vectors.has(word)) return false;
    if (first !== undefined && this.#lines < first) return true;
    return wanted?.has(word) ?? first === undefined;
  }

  #parse(numbers: string): Float32Array {
    const fields = splitFields(numbers);
    const vector = Float32Array.from(fields, Number);
    const wrong = vector.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) this.#failNumber(fields[wrong]);
    return vector;
  }
}

/** The position after the last byte before `end` that is no white space, `start` where all are. */
function skipSpaces(bytes: Uint8Array, end: number, start = 0): number {
  while (end > start && KINDS[bytes[end - 1]] === SPACE) end--;
  return end;
}

function splitFields(text: string): string[] {
  return text.split(/[ \t\r]+/).filter((field) => field !== "");
}

/** Whether a field is a number that 32 bits can hold. */
function isNumber(field = ""): boolean {
  return /^[-+\d.eE]+$/.test(field) && Number.isFinite(Math.fround(Number(field)));
}
