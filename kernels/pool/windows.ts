/** The windows of a pool, as PyTorch counts them. */
import { expectShape, type Tensor } from "../runtime/tensor.ts";

/** How the windows of a pool lie, as in PyTorch. */
export interface PoolOptions {
  /** Height and width of a window. */
  kernel: number;
  /** From one window to the next; the kernel by default. */
  stride?: number;
  /** Added on each side, at most half of the kernel. 0 by default. */
  padding?: number;
  /** Count a last window that does not fit whole, if it starts within the map or the padding before it. */
  ceilMode?: boolean;
}

/** Parameters of a pool's kernels. Channels count quads where there are such. */
export const POOL_PARAMS = {
  n: "u32",
  quads: "u32",
  height: "u32",
  width: "u32",
  out_height: "u32",
  out_width: "u32",
} as const;

/** Those of maps and of their windows. */
export function poolParams(
  [, height, width, channels]: readonly number[],
  [, out_height, out_width]: readonly number[],
) {
  const quads = channels % 4 === 0 ? channels / 4 : channels;
  return { quads, height, width, out_height, out_width };
}

/** Every option. RangeError for a kernel or stride that is not from 1 to `most`, or a padding that cannot be. */
export function poolOptions(
  what: string,
  { kernel, stride = kernel, padding = 0, ceilMode = false }: PoolOptions,
  most: number,
): Required<PoolOptions> {
  const check = (name: string, value: number, least: number, most: number) => {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    throw new RangeError(
      `${what} takes a ${name} from ${least} to ${most}, and ${value} was given`,
    );
  };
  check("kernel", kernel, 1, most);
  check("stride", stride, 1, most);
  check("padding", padding, 0, Math.floor(kernel / 2));
  return { kernel, stride, padding, ceilMode };
}

/** The windows along one side of a map. */
function windows(size: number, { kernel, stride, padding, ceilMode }: Required<PoolOptions>) {
  const rest = size + 2 * padding - kernel;
  const count = (ceilMode ? Math.ceil(rest / stride) : Math.floor(rest / stride)) + 1;
  return ceilMode && (count - 1) * stride >= size + padding ? count - 1 : count;
}

/** The shape of a pool's result on `x [N, H, W, C]`. TypeError when x has other axes, or no window fits. */
export function pooledShape(
  what: string,
  x: Pick<Tensor, "name" | "shape">,
  options: Required<PoolOptions>,
): [number, number, number, number] {
  expectShape(x, [null, null, null, null], `${what}'s x [N, H, W, C]`);
  const [batch, height, width, channels] = x.shape;
  const size = [windows(height, options), windows(width, options)];
  if (Math.min(...size) < 1) {
    throw new TypeError(
      `No window of ${options.kernel} by ${options.kernel} fits into "${x.name}" of shape [${
        x.shape.join(", ")
      }] with a padding of ${options.padding}`,
    );
  }
  return [batch, size[0], size[1], channels];
}
