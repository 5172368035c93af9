import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { WriteError } from "../../data/files/file.ts";
import { createRunFolder, reopenRunFolder } from "../../tasks/lib/run_folder.ts";
import { permissionTest } from "../support.ts";
import { UserError } from "../../data/files/user_error.ts";

const disk: Deno.PermissionDescriptor[] = [{ name: "read" }, { name: "write" }];
const now = new Date(2026, 0, 31, 9, 5, 0);

/** Run a test in a folder that is gone afterwards. */
function inFolder(code: (out: string) => void): void {
  const out = Deno.makeTempDirSync();
  try {
    code(out);
  } finally {
    Deno.removeSync(out, { recursive: true });
  }
}

permissionTest("run folder: named by local time, never the same twice", disk, () => {
  inFolder((out) => {
    const names = [1, 2, 3].map(() => {
      using run = createRunFolder({ out: join(out, "runs"), task: "caption-lstm", now });
      return run.path;
    });
    const first = join(out, "runs", "caption-lstm", "2026-01-31T09-05-00");
    assertEquals(names, [first, `${first}-2`, `${first}-3`]);
  });
});

permissionTest("run folder: a metric is on disk before the next one", disk, () => {
  inFolder((out) => {
    using run = createRunFolder({ out, task: "t", now });
    const read = () => Deno.readTextFileSync(join(run.path, "metrics.jsonl"));
    assertEquals(read(), "");
    run.metric({ step: 1, loss: 2.5 });
    assertEquals(read(), '{"step":1,"loss":2.5}\n');
    run.metric({ step: 2, loss: NaN, best: -Infinity, split: "val", note: null });
    assertEquals(
      read().split("\n")[1],
      '{"step":2,"loss":"NaN","best":"-Infinity","split":"val","note":null}',
    );
  });
});

permissionTest("run folder: files are written whole and replaced whole", disk, () => {
  inFolder((out) => {
    using run = createRunFolder({ out, task: "t", now });
    run.writeConfig({ hidden: 512, data: undefined });
    const config = JSON.parse(Deno.readTextFileSync(join(run.path, "config.json")));
    assertEquals(config, { hidden: 512 });
    run.writeBytes("model.safetensors", Uint8Array.of(1, 2, 3));
    const path = run.writeBytes("model.safetensors", Uint8Array.of(4));
    assertEquals(Deno.readFileSync(path), Uint8Array.of(4));
    assertEquals(Deno.readTextFileSync(run.writeText("report.html", "ü")), "ü");
    const names = [...Deno.readDirSync(run.path)].map(({ name }) => name).sort();
    assertEquals(names, ["config.json", "metrics.jsonl", "model.safetensors", "report.html"]);
  });
});

permissionTest("run folder: names that lead elsewhere are refused", disk, () => {
  inFolder((out) => {
    using run = createRunFolder({ out, task: "t", now });
    for (const name of ["../x", "a/b", "/x", "", ".", "..", "a\\b"]) {
      assertThrows(() => run.writeText(name, ""), TypeError, `not "${name}"`);
    }
    assertThrows(() => createRunFolder({ out, task: "../t", now }), TypeError, '"../t"');
  });
});

permissionTest("run folder: a place that is a file is an error at the start", disk, () => {
  inFolder((out) => {
    const file = join(out, "taken");
    Deno.writeTextFileSync(file, "");
    const error = assertThrows(() => createRunFolder({ out: file, task: "t", now }), UserError);
    assertStringIncludes(error.message, `The output folder "${file}" cannot be written: `);
    assert(!error.message.endsWith("."));
  });
});

Deno.test({
  name: "run folder: without --allow-write the error names the flag",
  permissions: { read: true },
  fn: () => {
    assertThrows(
      () => createRunFolder({ out: "runs", task: "t", now }),
      UserError,
      "--allow-write",
    );
  },
});

permissionTest("run folder: one process at a time goes on in it", disk, () => {
  inFolder((out) => {
    const first = createRunFolder({ out, task: "t", now });
    const error = assertThrows(() => reopenRunFolder(first.path), UserError);
    assertStringIncludes(error.message, "another run has it open; wait for it to end");
    first[Symbol.dispose]();
    using again = reopenRunFolder(first.path);
    // Also after it has taken records away.
    again.metric({ step: 1 });
    again.metric({ step: 2 });
    again.retainMetrics(({ step }) => step === 1);
    assertThrows(() => reopenRunFolder(first.path), UserError, "another run");
    again.metric({ step: 3 });
    const text = Deno.readTextFileSync(join(first.path, "metrics.jsonl"));
    assertEquals(text, '{"step":1}\n{"step":3}\n');
    assertEquals([...Deno.readDirSync(first.path)].length, 1);
  });
});

permissionTest("run folder: what cannot be written leaves nothing of it", disk, () => {
  inFolder((out) => {
    using run = createRunFolder({ out, task: "t", now });
    Deno.mkdirSync(join(run.path, "page.html"));
    const folder = `${join(run.path, "page.html")} cannot be written: it is a folder`;
    assertThrows(() => run.writeText("page.html", "x"), WriteError, folder);
    const long = "n".repeat(300);
    assertThrows(() => run.writeText(long, "x"), WriteError, "the name is too long");
    const names = [...Deno.readDirSync(run.path)].map(({ name }) => name).sort();
    assertEquals(names, ["metrics.jsonl", "page.html"]);
  });
});
