/** Long sums in float32 that stay right. */
import type { FloatType } from "../activations.ts";

/** Numbers of a block, and blocks of a larger one. */
const BLOCK = 16;

/** A loop over u32: WGSL of the name of its variable, where it begins, where it ends, and its step. */
export interface Loop {
  variable: string;
  first: string;
  end: string;
  step?: string;
}

/**
 * WGSL of the sum `name` over the turns of a loop. `body` is a turn, and gets the WGSL that adds a number to the
 * sum. Blocks of 16 numbers are added up, blocks of 16 such sums, and then theirs: the rounding errors of n numbers
 * grow with 32 + n / 256 in place of n. (A compensated sum would not survive compilers, which take `(a + b) - a`
 * for b.) The loops turn 9/8 n times, and a few.
 */
export function blockSum(
  name: string,
  t: FloatType,
  { variable, first, end, step = "1u" }: Loop,
  body: (add: (value: string) => string) => string,
): string {
  const outer = `${BLOCK ** 2}u * ${step}`;
  const inner = `${BLOCK}u * ${step}`;
  return /* wgsl */ `var ${name} = ${t}();
  for (var ${name}_a = ${first}; ${name}_a < ${end}; ${name}_a += ${outer}) {
    var ${name}_blocks = ${t}();
    let ${name}_a_end = min(${end}, ${name}_a + ${outer});
    for (var ${name}_b = ${name}_a; ${name}_b < ${name}_a_end; ${name}_b += ${inner}) {
      var ${name}_block = ${t}();
      let ${name}_b_end = min(${end}, ${name}_b + ${inner});
      for (var ${variable} = ${name}_b; ${variable} < ${name}_b_end; ${variable} += ${step}) {
        ${body((value) => `${name}_block += ${value};`)}
      }
      ${name}_blocks += ${name}_block;
    }
    ${name} += ${name}_blocks;
  }`;
}
