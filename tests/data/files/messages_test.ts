import { assertEquals } from "@std/assert";
import { listed, printable, quote } from "../../../data/files/messages.ts";

/** What erases the screen, sets the title, breaks the line, and writes from right to left. */
const HOSTILE = "a\x1b[2J\x9b1mé\r\n\x7f\u2028\u202eb";

Deno.test("quote() and printable() let nothing through that steers a terminal", () => {
  assertEquals(quote(HOSTILE), '"a\\u001b[2J\\u009b1mé\\r\\n\\u007f\\u2028\\u202eb"');
  assertEquals(
    printable(HOSTILE),
    "a\\u001b[2J\\u009b1mé\\u000d\\u000a\\u007f\\u2028\\u202eb",
  );
  assertEquals(printable("a\nb\t\x1b", { lines: true }), "a\nb\t\\u001b");
  assertEquals(quote("\ud800"), '"\\ud800"');
});

Deno.test("quote() and printable() cut a text after so many characters, however long it is", () => {
  assertEquals(quote("𝒜ℬ𝒞𝒟", 3), '"𝒜ℬ𝒞…"');
  assertEquals(quote("𝒜ℬ𝒞", 3), '"𝒜ℬ𝒞"');
  assertEquals(printable("abcd", { most: 3 }), "abc…");
  // More characters than a list of them could hold.
  assertEquals(quote("x".repeat(2 ** 28)).length, 63);
});

Deno.test("listed() names a few and counts the others", () => {
  assertEquals(listed([]), "");
  assertEquals(listed(["a", "b\n"]), '"a", "b\\n"');
  assertEquals(listed(["a", "b", "c", "d"], 2), '"a", "b" and 2 others');
});
