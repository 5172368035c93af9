/** The factors of a product that lie in memory as matrices, row by row. */
import { quadLoad } from "../runtime/wgsl.ts";
import type { Operand } from "./contract.ts";

/** Parameters of a kernel with two such factors: the first element of each, and elements from one stored row to the next. */
export const MATRIX_PARAMS = { a_offset: "u32", lda: "u32", b_offset: "u32", ldb: "u32" } as const;

/** With parts, what multiplies the place along k where one begins: 1, or more where each is a matrix of its own. */
export const FIRST_PARAMS = { a_first: "u32", b_first: "u32" } as const;

/** A matrix: stored by lines `along` k, or by lines that run `across`, one for each k; see {@linkcode quadLoad}. */
export function matrix(
  name: "a" | "b",
  quads: Operand["quads"],
  vec4: boolean,
  mirror = false,
  parts = false,
): Operand {
  const [offset, pitch] = [`params.${name}_offset`, `params.ld${name}`];
  const along = quads === "along";
  return {
    quads,
    code: `${quadLoad(name, vec4, mirror)}struct Line_${name} { at: u32, left: u32 }
fn ${name}_line(i: u32, left: u32, first: u32) -> Line_${name} {
  return Line_${name}(${offset} + ${
      along
        ? `i * ${pitch} + first${parts ? ` * params.${name}_first` : ""}`
        : `first * ${pitch} + i`
    }, left);
}
fn ${name}_load(line: Line_${name}, k: u32, left: u32) -> vec4f {
  return load_${name}(line.at + ${along ? "k, left" : `k * ${pitch}, line.left`});
}\n`,
  };
}
