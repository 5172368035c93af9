/** A folder of labeled sentences, as small as can be, that every classifier can learn. */
import { join } from "@std/path";
import { withTempFolder } from "./task_process.ts";

const NOUNS = ["food", "soup", "place", "staff", "bill"];

/** `count` sentences of ten words in all, by turns bad and good. */
export function plainSentences(count: number): string {
  const line = (i: number) =>
    `${i % 2} the ${NOUNS[i % 5]} was ${i % 2 === 1 ? "good" : "bad"} .\n`;
  return Array.from({ length: count }, (_, i) => line(i)).join("");
}

/** What differs from {@linkcode plainSentences}, and the text of a file of vectors beside the data. */
export interface SentenceFiles {
  train?: string;
  test?: string;
  glove?: string;
}

/** Hand a folder with `sentences/` and, where `glove` is given, `glove/glove.test.txt` to `use`. */
export async function withSentences(
  { train = plainSentences(40), test = `${plainSentences(10)}1\n`, glove }: SentenceFiles,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const data = join(folder, "sentences");
    await Deno.mkdir(data);
    await Deno.writeTextFile(join(data, "train.txt"), train);
    await Deno.writeTextFile(join(data, "dev.txt"), plainSentences(10));
    await Deno.writeTextFile(join(data, "test.txt"), test);
    if (glove !== undefined) {
      await Deno.mkdir(join(folder, "glove"));
      await Deno.writeTextFile(join(folder, "glove", "glove.test.txt"), glove);
    }
    await use(folder);
  });
}
