/** What an adapter's instructions cost: tiles, and what is copied to textures, are chosen by it. */

/**
 * Nanoseconds of one core of a software adapter, for all lanes of a subgroup. Whatever they say, results are the same:
 * only the time that they take differs.
 */
export interface Costs {
  /** A multiplication and an addition. */
  multiply: number;
  /** A vec4 for each lane, from a texture, from a buffer, and to a buffer. */
  load: number;
  buffer: number;
  store: number;
  /** A vec4 copied from a buffer to a texture. */
  copy: number;
  /** Cores that run workgroups beside each other. */
  cores: number;
  /** Tiles that were found faster than what the rule picks, by the product that they are for; see `deno task tune`. */
  tiles?: Record<string, string>;
}

/** Those of a CPU with AVX-512 and Mesa 22.3, and of any GPU, where nothing depends on them; of two cores. */
export const STANDARD_COSTS: Costs = {
  multiply: 0.5,
  load: 22,
  buffer: 60,
  store: 50,
  copy: 3.4,
  cores: 2,
};
