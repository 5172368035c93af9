/** Long sums in float32 that stay right. */
import type { FloatType } from "./activations.ts";

/** Turns of a block: a power of two. */
const BLOCK = 32;

/**
 * WGSL of a sum over the turns of a loop: `start` before it, `add(v)` in each turn, `end` after it, which leaves the
 * sum in `name`. Blocks are added up, and then their sums: the rounding errors of n numbers grow with n / 32 + 32
 * in place of n. (A compensated sum would not survive compilers, which take `(a + b) - a` for b.)
 */
export function blockSum(name: string, t: FloatType): {
  start: string;
  add: (value: string) => string;
  end: string;
} {
  return {
    start: `var ${name} = ${t}();
  var ${name}_block = ${t}();
  var ${name}_turn = 0u;`,
    add: (value) =>
      `${name}_block += ${value};
    ${name}_turn++;
    if (${name}_turn % ${BLOCK}u == 0u) { ${name} += ${name}_block; ${name}_block = ${t}(); }`,
    end: `${name} += ${name}_block;`,
  };
}
