/**
 * What an adapter's instructions cost: tiles, and what is copied to textures, are chosen by it. Whatever costs say,
 * results are the same: only the time that they take differs.
 *
 * They are measured when a software adapter is opened (calibrate.ts), and kept in the file that the environment variable
 * `NECKAR_COSTS` names, where the script may use it; `./neckar` names one. With JSON instead of a name they are given:
 * `{}` means the standard costs. GPUs have the standard costs, on which nothing depends there.
 */
import { GpuError } from "./errors.ts";

/** Nanoseconds of one core of a software adapter, for all lanes of a subgroup. */
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
  /** Told of each product that is cut, with what the rule expects of its tiles, and the one it picks; never kept. */
  asked?: (product: string, tiles: Record<string, number>, picked: string) => void;
}

/** Those of two cores with AVX-512 and Mesa 22.3. */
export const STANDARD_COSTS: Costs = {
  multiply: 0.24,
  load: 11,
  buffer: 45,
  store: 50,
  copy: 0.5,
  cores: 2,
};

const NAME = "NECKAR_COSTS";

/** Where costs are kept, or JSON; nothing where the script may not look. */
function setting(): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: NAME });
  return state === "granted" ? Deno.env.get(NAME) || undefined : undefined;
}

/** Costs that are given in `fields`, and the standard ones besides. GpuError, which names what is wrong. */
function given(fields: unknown, where: string): Costs {
  const refuse = (what: string) => new GpuError(`${where} ${what}`);
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) {
    throw refuse("holds no object of costs");
  }
  const names = [...Object.keys(STANDARD_COSTS), "tiles"];
  for (const [name, value] of Object.entries(fields)) {
    if (!names.includes(name)) {
      throw refuse(`has the cost "${name}": ${names.join(", ")} are allowed`);
    }
    const right = name === "tiles"
      ? typeof value === "object" && value !== null &&
        Object.values(value).every((tile) => typeof tile === "string")
      : typeof value === "number" && value > 0 && value < Infinity;
    if (!right) {
      const wanted = name === "tiles" ? "tiles by the name of a product" : "a number above 0";
      throw refuse(`has ${JSON.stringify(value)} for "${name}": ${wanted} is allowed`);
    }
  }
  return { ...STANDARD_COSTS, ...fields };
}

/** Costs kept of this adapter, or nothing: what another one left, or half a file, counts as nothing. */
function kept(path: string, adapter: string): Costs | undefined {
  try {
    const read = JSON.parse(Deno.readTextFileSync(path));
    return read.adapter === adapter ? given(read.costs, path) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Keep costs of an adapter where {@linkcode costsOf} finds them. Returns the file, or nothing where none is named.
 *
 * Errors: those of Deno where it cannot be written.
 */
export function keepCosts(adapter: string, costs: Costs, path = setting()): string | undefined {
  if (path === undefined || path.startsWith("{")) return undefined;
  const part = `${path}.${Deno.pid}`;
  Deno.writeTextFileSync(part, `${JSON.stringify({ adapter, costs }, undefined, 2)}\n`);
  Deno.renameSync(part, path);
  return path;
}

/**
 * The costs of an adapter, by its description: those that are given, those that were kept, or else those that `measure`
 * finds, which are then kept; the standard ones where nothing is measured.
 *
 * Errors: GpuError for costs given that cannot be read.
 */
export function costsOf(
  adapter: string,
  measure: (() => Costs) | undefined,
  path = setting(),
): Costs {
  if (path?.startsWith("{")) {
    let fields: unknown;
    try {
      fields = JSON.parse(path);
    } catch (error) {
      throw new GpuError(`${NAME} begins as JSON and is none: ${(error as Error).message}`);
    }
    return given(fields, NAME);
  }
  if (measure === undefined) return STANDARD_COSTS;
  const known = path === undefined ? undefined : kept(path, adapter);
  if (known !== undefined) return known;
  const costs = measure();
  try {
    keepCosts(adapter, costs, path);
  } catch {
    // They are measured again next time.
  }
  return costs;
}
