import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Buffer } from "node:buffer";
import { lineChart } from "../../tasks/lib/chart.ts";
import { encodePng } from "../../data/images/image.ts";
import { page, pictureHtml, type Section } from "../../tasks/lib/page.ts";
import type { Picture } from "../../data/sets/captions.ts";
import { dataTest, permissionTest } from "../support.ts";

const sections = (...list: Section[]) => page({ title: "T", subtitle: "S", sections: list });
const file = (path: string): Picture => ({ name: "a <b>", source: { kind: "file", path } });

/** The bytes inside a data image, with its type. */
function embedded(html: string): { type: string; bytes: Uint8Array } {
  const found = /<img src="data:([^;]+);base64,([^"]+)"/.exec(html);
  assert(found, html.slice(0, 200));
  return { type: found[1], bytes: Buffer.from(found[2], "base64") };
}

Deno.test("page: everything from outside is escaped", async () => {
  const evil = `<script>alert("1")</script>'&`;
  const safe = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;";
  const picture = await pictureHtml({ name: evil, source: { kind: "svg", svg: "<svg></svg>" } });
  const html = page({
    title: evil,
    subtitle: evil,
    sections: [
      { kind: "settings", title: evil, settings: { [evil]: evil } },
      { kind: "figures", title: evil, columns: [evil, evil], rows: [[evil, evil]], note: evil },
      { kind: "chart", title: evil, svg: "<svg></svg>", alt: evil, note: evil },
      {
        kind: "gallery",
        title: evil,
        note: evil,
        cards: [{ picture, name: evil, entries: [{ label: evil, texts: [evil], score: evil }] }],
      },
      { kind: "texts", title: evil, columns: [evil, evil], rows: [[evil, evil]], note: evil },
      { kind: "text", title: evil, paragraphs: [evil] },
      { kind: "output", title: evil, text: evil },
    ],
  });
  assertEquals(html.includes("<script"), false);
  // Title twice, subtitle, seven headings, and every text of the sections.
  assertEquals(html.split(safe).length - 1, 32);
});

Deno.test("page: stands alone, with a policy that lets nothing run", () => {
  const svg = lineChart({
    title: "Loss",
    xLabel: "step",
    yLabel: "loss",
    series: [{ name: "a", points: [[0, 1], [1, 2]] }],
  });
  const html = sections({ kind: "chart", title: "Loss", svg });
  assertMatch(html, /^<!DOCTYPE html>\n<html lang="en">/);
  assertStringIncludes(html, "default-src 'none'");
  assertStringIncludes(html, "color-scheme: light dark");
  assertStringIncludes(html, "@media print");
  assertEquals(/<link|<script|url\(|@import|(src|href)="(?!data:)/.test(html), false);
  assertEquals(new TextDecoder().decode(embedded(html).bytes), svg);
});

Deno.test("page: settings and figures", () => {
  const html = sections(
    { kind: "settings", title: "s", settings: { lr: 0.005, plain: false, data: undefined } },
    {
      kind: "figures",
      title: "f",
      columns: ["split", "BLEU", "captions", "words"],
      rows: [["train", 0.71234, 900, "many"], ["val", 0.08123, 59, undefined]],
    },
  );
  assertStringIncludes(html, '<th scope="row">lr</th><td>0.005</td>');
  assertStringIncludes(html, '<th scope="row">plain</th><td>no</td>');
  assertStringIncludes(html, '<th scope="row">data</th><td>–</td>');
  assertStringIncludes(
    html,
    '<th scope="row">val</th><td class="number">0.0812</td><td class="number">59</td><td>–</td>',
  );
  const bad: Section = {
    kind: "figures",
    title: "f",
    columns: ["a", "b"],
    rows: [["x", 1], ["y"]],
  };
  assertThrows(() => sections(bad), TypeError, 'Row 1 of "f" has 1 cells, and there are 2 columns');
  const nan = sections({ kind: "figures", title: "f", columns: ["a", "b"], rows: [["x", NaN]] });
  assertStringIncludes(nan, '<td class="number">NaN</td>');
});

Deno.test("page: texts with figures before them", () => {
  const columns = ["p", "seen", "sentence"];
  const table: Section = {
    kind: "texts",
    title: "t",
    columns,
    rows: [[0.5, 3, "so good"], [0.25, 12, "bad"]],
    note: "n",
  };
  assertStringIncludes(
    sections(table),
    '<p class="note">n</p><div class="wide texts"><table><thead><tr><th scope="col" class="number">p</th>',
  );
  assertStringIncludes(
    sections(table),
    '<td class="number">0.2500</td><td class="number">12</td><td>bad</td></tr>',
  );
  const none = sections({ ...table, rows: [] });
  assertEquals([none.includes("<table"), none.includes(">n</p>")], [false, true]);
  const short = { ...table, rows: [["a"]] };
  assertThrows(() => sections(short), TypeError, 'Row 0 of "t" has 1 cells');
});

Deno.test("page: figures with a fixed number of decimals", () => {
  const html = sections({
    kind: "figures",
    title: "f",
    columns: ["split", "accuracy", "count"],
    rows: [["train", 100, 900], ["dev", 7.125, 59]],
    decimals: 2,
  });
  assertStringIncludes(html, '<td class="number">100.00</td><td class="number">900</td>');
  assertStringIncludes(html, '<td class="number">7.13</td><td class="number">59</td>');
});

Deno.test("picture: a drawing goes in whole and gets its namespace", async () => {
  const svg = '<svg viewBox="0 0 1 1"><script>alert(1)</script></svg>';
  const html = await pictureHtml({ name: "d", source: { kind: "svg", svg } });
  const { type, bytes } = embedded(html);
  assertEquals(type, "image/svg+xml");
  assertStringIncludes(
    new TextDecoder().decode(bytes),
    '<svg xmlns="http://www.w3.org/2000/svg" v',
  );
  assertEquals(html.includes("<script"), false);
});

Deno.test("picture: the web keeps its address, other addresses are refused", async () => {
  const url = "https://example.com/a.jpg?b=1&c=2";
  const html = await pictureHtml({ name: "w", source: { kind: "url", url } });
  assertStringIncludes(html, '<a href="https://example.com/a.jpg?b=1&amp;c=2"');
  assertStringIncludes(html, 'alt="w (on the web, needs the network)"');
  for (const bad of ["javascript:alert(1)", "file:///etc/passwd", "no address"]) {
    const told: string[] = [];
    const onUnreadable = (name: string, reason: string) => told.push(`${name}: ${reason}`);
    const missing = await pictureHtml({ name: "w", source: { kind: "url", url: bad } }, {
      onUnreadable,
    });
    assertStringIncludes(missing, "cannot be shown");
    assertEquals([told.length, missing.includes(bad)], [1, false]);
  }
});

const library: Deno.PermissionDescriptor[] = [
  { name: "read" },
  { name: "env" },
  { name: "ffi" },
];

permissionTest("picture: what cannot be read is counted", library, async () => {
  const told: string[] = [];
  const options = { onUnreadable: (name: string) => told.push(name) };
  const here = fromFileUrl(import.meta.url);
  for (const path of ["missing/gone.jpg", here]) {
    const html = await pictureHtml(file(path), options);
    assertEquals(html, '<div class="missing">a &lt;b&gt;<br>cannot be shown</div>');
  }
  assertEquals(told, ["a <b>", "a <b>"]);
});

Deno.test({
  name: "picture: what would be read for ever is not",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const told: string[] = [];
    const onUnreadable = (_: string, reason: string) => told.push(reason);
    const html = await pictureHtml(file("/dev/zero"), { onUnreadable });
    assertStringIncludes(html, "cannot be shown");
    assertEquals(told.length, 1);
  },
});

permissionTest("picture: a link out of the folder that it must be in is not followed", [
  ...library,
  { name: "write" },
], async () => {
  const folder = await Deno.makeTempDir();
  try {
    const reasons: string[] = [];
    const shown = async (name: string) => {
      const source = { kind: "file" as const, path: `${folder}/${name}`, within: `${folder}/in` };
      const onUnreadable = (_: string, reason: string) => reasons.push(reason);
      return !(await pictureHtml({ name, source }, { onUnreadable })).includes("cannot be shown");
    };
    const image = { width: 1, height: 1, data: new Uint8Array(3) };
    for (const name of ["in", "in2"]) {
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.writeFile(`${folder}/${name}/a.png`, await encodePng(image));
    }
    await Deno.symlink("../in2/a.png", `${folder}/in/file.png`);
    await Deno.symlink("../in2", `${folder}/in/folder`);
    await Deno.symlink("a.png", `${folder}/in/own.png`);
    assertEquals([await shown("in/a.png"), await shown("in/own.png")], [true, true]);
    assertEquals([await shown("in/file.png"), await shown("in/folder/a.png")], [false, false]);
    for (const reason of reasons) assertStringIncludes(reason, "is a link that leaves the folder");
    assertStringIncludes(reasons.join(), "--allow-outside");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

permissionTest("picture: drawings of strangers are not rendered", [
  ...library,
  { name: "write" },
], async () => {
  const path = await Deno.makeTempFile({ suffix: ".png" });
  const reasons: string[] = [];
  try {
    await Deno.writeTextFile(path, '<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>');
    await pictureHtml(file(path), { onUnreadable: (_, reason) => reasons.push(reason) });
    assertStringIncludes(reasons.join(), "it seems to be an SVG drawing");
  } finally {
    await Deno.remove(path);
  }
});

permissionTest(
  "picture: files shrink to 320 pixels, TIFF becomes JPEG, PNG stays",
  [...library, { name: "write" }],
  async () => {
    const { default: sharp } = await import("npm:sharp@0.35.5");
    const folder = await Deno.makeTempDir();
    const red = { width: 700, height: 351, channels: 4 as const, background: "#ff000080" };
    try {
      for (const [format, type] of [["tiff", "jpeg"], ["png", "png"], ["webp", "jpeg"]] as const) {
        const path = `${folder}/a.${format}`;
        await Deno.writeFile(path, await sharp({ create: red }).toFormat(format).toBuffer());
        const shown = embedded(await pictureHtml(file(path)));
        const { width, height, format: found } = await sharp(shown.bytes).metadata();
        assertEquals([shown.type, found, width, height], [`image/${type}`, type, 320, 160]);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

dataTest("picture: a photograph", "captions/coco_mini/images/000000000139.jpg", async (path) => {
  const { type, bytes } = embedded(await pictureHtml(file(path)));
  assertEquals(type, "image/jpeg");
  assert(bytes.length > 1000 && bytes.length < 60_000, `${bytes.length} bytes`);
}, library);
