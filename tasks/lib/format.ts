/** Numbers as a reader wants them. */

/**
 * A figure with four significant digits: `1.234`, `0.001230`, `12346`, `1.2e-7`; whole numbers stay.
 *
 * @example
 * ```ts
 * if (figure(1.23456) !== "1.235" || figure(500) !== "500") throw new Error("wrong");
 * ```
 */
export function figure(value: number): string {
  if (!Number.isFinite(value) || Number.isInteger(value)) return String(value);
  if (Math.abs(value) >= 1000) return value.toFixed(0);
  const rounded = value.toPrecision(4);
  return Math.abs(value) < 1e-4 ? Number(rounded).toExponential() : rounded;
}

/**
 * A count with its thousands set apart: `20,004`.
 *
 * @example
 * ```ts
 * if (grouped(20004) !== "20,004") throw new Error(grouped(20004));
 * ```
 */
export function grouped(count: number): string {
  return count.toLocaleString("en-US");
}

/**
 * A share from 0 to 1 in percent, with two decimals or so many.
 *
 * @example
 * ```ts
 * if (percent(0.98125, 1) !== "98.1 %") throw new Error(percent(0.98125, 1));
 * ```
 */
export function percent(share: number, decimals = 2): string {
  return `${(100 * share).toFixed(decimals)} %`;
}

/**
 * A probability with four decimals, but never as certain as 0 or 1.
 *
 * @example
 * ```ts
 * if (chance(0.97314) !== "0.9731" || chance(1) !== "> 0.9999") throw new Error(chance(1));
 * ```
 */
export function chance(probability: number): string {
  if (probability < 0.0001) return "< 0.0001";
  return probability > 0.9999 ? "> 0.9999" : probability.toFixed(4);
}

/**
 * Seconds as `0:07`, `12:34` or `1:02:03`; `-:--` where they are not finite.
 *
 * @example
 * ```ts
 * if (clock(3723) !== "1:02:03") throw new Error(clock(3723));
 * ```
 */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds)) return "-:--";
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
