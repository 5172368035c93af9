/** What the invocations of a workgroup have, put together. */

/**
 * WGSL `reduce_NAME(local, v)`: what `join` makes of the values of `width` invocations, as a tree, for each of them. All
 * of a workgroup call it, in uniform control flow; with a width of 1 each keeps its own value, at no cost.
 */
export function treeReduction(
  name: string,
  t: "f32" | "vec2u",
  width: number,
  join: (a: string, b: string) => string,
): string {
  if (width === 1) return `fn reduce_${name}(local: u32, v: ${t}) -> ${t} { return v; }\n`;
  const shared = `shared_${name}`;
  return /* wgsl */ `
var<workgroup> ${shared}: array<${t}, ${width}>;
fn reduce_${name}(local: u32, v: ${t}) -> ${t} {
  workgroupBarrier(); // of the call before, all have read
  ${shared}[local] = v;
  for (var half = ${width / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) {
      ${shared}[local] = ${join(`${shared}[local]`, `${shared}[local + half]`)};
    }
  }
  workgroupBarrier();
  return ${shared}[0];
}
`;
}

/** The `join` of a sum. */
export const plus = (a: string, b: string): string => `${a} + ${b}`;
