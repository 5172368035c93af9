/** Long sums in float32 that stay right. */
import type { FloatType } from "./activations.ts";

/** Numbers of a block, and blocks of a larger one: a power of two. */
const BLOCK = 32;

/**
 * WGSL of a sum over the turns of a loop: `start` before it, `add(v)` in each turn, `end` after it, which leaves the
 * sum in `name`. Numbers are added up in blocks, and these in larger ones: the rounding errors of n numbers grow with
 * 64 + n / 1024 in place of n. (A compensated sum would not survive compilers, which take `(a + b) - a` for b.)
 */
export function blockSum(name: string, t: FloatType): {
  start: string;
  add: (value: string) => string;
  end: string;
} {
  return {
    start: `var ${name} = ${t}();
  var ${name}_blocks = ${t}();
  var ${name}_block = ${t}();
  var ${name}_turn = 0u;`,
    add: (value) =>
      `${name}_block += ${value};
    ${name}_turn++;
    if (${name}_turn % ${BLOCK}u == 0u) {
      ${name}_blocks += ${name}_block;
      ${name}_block = ${t}();
      if (${name}_turn % ${
        BLOCK ** 2
      }u == 0u) { ${name} += ${name}_blocks; ${name}_blocks = ${t}(); }
    }`,
    end: `${name} += ${name}_blocks + ${name}_block;`,
  };
}
