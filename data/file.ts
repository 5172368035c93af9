/**
 * Files that are read whole.
 *
 * @module
 */

/**
 * Read a file whole and hand its bytes to `decode`. A SyntaxError or RangeError out of it comes out with the
 * file's path and `what`, what that means for the file, in front.
 *
 * ```ts ignore
 * const tensors = await decodeFile("model.pth", "is not a PyTorch file", decodePth);
 * ```
 */
export async function decodeFile<T>(
  path: string,
  what: string,
  decode: (bytes: Uint8Array<ArrayBuffer>) => T | Promise<T>,
): Promise<T> {
  const bytes = await Deno.readFile(path);
  return await saying(path, what, () => decode(bytes));
}

/** Put a file's path and `what` in front of the SyntaxErrors and RangeErrors out of `decode`. */
export async function saying<T>(
  path: string,
  what: string,
  decode: () => T | Promise<T>,
): Promise<T> {
  try {
    return await decode();
  } catch (error) {
    const message = () => `${path} ${what}: ${(error as Error).message}`;
    if (error instanceof SyntaxError) throw new SyntaxError(message());
    if (error instanceof RangeError) throw new RangeError(message());
    throw error;
  }
}
