/**
 * Files that are read whole.
 *
 * @module
 */

/**
 * Read a file whole and hand its bytes to `decode`. A SyntaxError or RangeError out of it comes out with the
 * file's path and `kind`, what the file should be, in front.
 *
 * ```ts ignore
 * const tensors = await decodeFile("model.pth", "a PyTorch file", decodePth);
 * ```
 */
export async function decodeFile<T>(
  path: string,
  kind: string,
  decode: (bytes: Uint8Array<ArrayBuffer>) => T | Promise<T>,
): Promise<T> {
  const bytes = await Deno.readFile(path);
  try {
    return await decode(bytes);
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new SyntaxError(`${path} is not ${kind}: ${error.message}`);
    }
    if (error instanceof RangeError) {
      throw new RangeError(`${path} cannot be read as ${kind}: ${error.message}`);
    }
    throw error;
  }
}
