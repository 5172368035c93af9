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
