/** Long sums in float32 that stay right. */
import type { FloatType } from "./activations.ts";

/** Numbers of a block, blocks of a larger one, and so on: a power of two. */
const BLOCK = 16;
/** Blocks within blocks. */
const LEVELS = 3;

/**
 * WGSL of a sum over the turns of a loop: `start` before it, `add(v)` in each turn, `end` after it, which leaves the
 * sum in `name`. Numbers are added up in blocks, these in larger ones, and so on: the rounding errors of n numbers
 * grow with 48 + n / 4096 in place of n. (A compensated sum would not survive compilers, which take `(a + b) - a`
 * for b.)
 */
export function blockSum(name: string, t: FloatType): {
  start: string;
  add: (value: string) => string;
  end: string;
} {
  const block = (level: number) => level === LEVELS ? name : `${name}_${level}`;
  const levels = Array.from({ length: LEVELS }, (_, level) => level);
  // Hand a full block on to the next larger one, and that too where it is full with it.
  const handOn = (level: number): string =>
    level === LEVELS ? "" : `if (${name}_turn % ${BLOCK ** (level + 1)}u == 0u) {
      ${block(level + 1)} += ${block(level)};
      ${block(level)} = ${t}();
      ${handOn(level + 1)}
    }`;
  return {
    start: `${[...levels, LEVELS].map((level) => `var ${block(level)} = ${t}();`).join("\n  ")}
  var ${name}_turn = 0u;`,
    add: (value) =>
      `${block(0)} += ${value};
    ${name}_turn++;
    ${handOn(0)}`,
    end: levels.toReversed().map((level) => `${name} += ${block(level)};`).join("\n  "),
  };
}
