/** What data are, in few letters: a run cannot go on with others. */

/** The first 64 bits of the SHA-256 of arrays. */
export async function digestOf(
  ...arrays: readonly ArrayBufferView<ArrayBuffer>[]
): Promise<string> {
  const each = await Promise.all(
    arrays.map(async (array) => new Uint8Array(await crypto.subtle.digest("SHA-256", array))),
  );
  const all = await crypto.subtle.digest(
    "SHA-256",
    Uint8Array.from(each.flatMap((one) => [...one])),
  );
  return new Uint8Array(all).toHex().slice(0, 16);
}
