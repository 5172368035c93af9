import { assertEquals, assertMatch, assertNotMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { HelpRequest, UsageError } from "../../tasks/lib/flags.ts";
import { explain } from "../../tasks/lib/main.ts";
import { WriteError, writeError } from "../../data/files/file.ts";
import { UserError } from "../../data/files/user_error.ts";
import { GpuError, NoAdapterError } from "../../kernels/runtime/errors.ts";
import { DivergedError } from "../../models/training/finite.ts";
import { NonFiniteLossError } from "../../models/training/loss_history.ts";
import { permissionTest } from "../support.ts";

/** The error that some code throws. */
function thrown(code: () => unknown): unknown {
  try {
    code();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

Deno.test("main: wrong usage is code 2, help is code 0", () => {
  const { code, text, stream } = explain(new UsageError("Unknown flag --x"));
  assertEquals([code, stream], [2, "stderr"]);
  assertStringIncludes(text, "error: Unknown flag --x\n");
  assertEquals(explain(new HelpRequest("page")), { code: 0, text: "page", stream: "stdout" });
});

Deno.test("main: expected errors are one sentence", () => {
  const expected = [
    new UserError("The HDF5 file has no signature"),
    new UserError("The output folder cannot be written", {
      cause: new TypeError("x is undefined"),
    }),
    new WriteError("a.txt cannot be written: the disk is full"),
    new DivergedError("The weights are not finite after step 3"),
    new NonFiniteLossError(NaN, 3, 2.5),
    new NoAdapterError("No adapter"),
    new GpuError("The GPU device was lost"),
    new Deno.errors.NotFound("No such file"),
    new Deno.errors.NotCapable("Requires read access"),
  ];
  for (const error of expected) {
    assertEquals(explain(error), { code: 1, text: `error: ${error.message}`, stream: "stderr" });
  }
});

Deno.test("main: too little memory for an array is a sentence", () => {
  const { code, text } = explain(thrown(() => new ArrayBuffer(2 ** 52)));
  assertEquals(code, 1);
  assertMatch(text, /^error: There is not enough memory: try a smaller batch.*$/);
});

Deno.test("main: only a UserError is told with what it is about in front", () => {
  const told = UserError.within("a.txt", new UserError("it is empty"));
  assertEquals(explain(told).text, "error: a.txt: it is empty");
  const bug = thrown(() => (undefined as unknown as { x: number }).x);
  assertEquals(UserError.within("a.txt", bug), bug);
  assertMatch(explain(bug).text, /^unexpected error, please report it: TypeError: [^]*\n\s+at /);
});

Deno.test("main: bugs keep their stack", () => {
  const missing = undefined as unknown as { a: { b: number } };
  const notFunction = 3 as unknown as () => void;
  const bugs = [
    thrown(() => missing.a.b),
    thrown(() => notFunction()),
    thrown(() => new Array(-1)),
    thrown(() => new Float32Array(-1)),
    thrown(() => new Float32Array(4).set([1, 2], 3)),
    thrown(() => new DataView(new ArrayBuffer(2)).getUint32(0)),
    thrown(() => "x".repeat(-1)),
    thrown(() => JSON.parse("{")),
    new TypeError("Weights are [3, 4], and the input has 5 columns"),
    new RangeError("Batch size must be at least 1, got 0"),
    new Error("assertion"),
  ];
  for (const bug of bugs) {
    const { code, text } = explain(bug);
    assertEquals(code, 1);
    assertMatch(text, /^unexpected error[^]*\n\s+at /);
  }
  assertStringIncludes(explain("a string").text, "a string");
});

const library = new URL("../../tasks/lib/main.ts", import.meta.url).href;
const errors = new URL("../../data/files/user_error.ts", import.meta.url).href;
const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
const run: Deno.PermissionDescriptor[] = [{ name: "run" }, { name: "read" }];

function evaluate(code: string): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `--config=${config}`,
      `import * as main from "${library}";\nimport { UserError } from "${errors}";\n${code}`,
    ],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  });
}

Deno.test("main: what the system refuses is said in words", () => {
  const refused = (message: string, code: string) =>
    explain(Object.assign(new Error(message), { code })).text;
  assertEquals(
    refused("No space left on device (os error 28): writefile '/a/b'", "ENOSPC"),
    "error: '/a/b' cannot be written: the disk is full",
  );
  assertEquals(
    refused("Is a directory (os error 21): open '/a'", "EISDIR"),
    "error: '/a' cannot be opened: it is a folder",
  );
  assertEquals(
    refused("File name too long (os error 36): mkdir '/a'", "ENAMETOOLONG"),
    "error: '/a' cannot be written: the name is too long",
  );
  const forbidden = new Deno.errors.NotCapable(
    'Requires all access to "/dev/full/x", run again with the --allow-all flag',
  );
  assertEquals(
    explain(forbidden).text,
    'error: "/dev/full/x" cannot be used: Deno keeps tasks out of the system\'s own folders, such as ' +
      "/dev, /proc and /sys; name a place elsewhere",
  );
  assertMatch(
    String(writeError("/dev/full", forbidden)),
    /^WriteError: \/dev\/full cannot be written: Deno/,
  );
  // Of a code that has no words here Deno's are good enough where it has a class, and a bug's stack else.
  assertMatch(refused("Odd (os error 99): stat '/a'", "EODD"), /^unexpected error/);
});

permissionTest("main: exit codes of a process", run, async () => {
  const bad = await evaluate(
    `await main.runTask(() => { setInterval(() => {}, 1000); throw new UserError("Too big"); });`,
  ).output();
  const text = new TextDecoder().decode(bad.stderr);
  assertEquals([bad.code, text], [1, "error: Too big\n"]);
  const good = await evaluate(`await main.runTask(() => console.log("done"));`).output();
  assertEquals([good.code, new TextDecoder().decode(good.stdout)], [0, "done\n"]);
});

permissionTest("main: nothing that a task prints steers the terminal", run, async () => {
  const shown = await evaluate(
    `await main.runTask(() => {
      console.log("a\\x1b[2J\\tb\\nc");
      throw new UserError("d\\x9be\\r");
    });`,
  ).output();
  const [stdout, stderr] = [shown.stdout, shown.stderr].map((b) => new TextDecoder().decode(b));
  assertEquals([stdout, stderr], ["a\\u001b[2J\tb\nc\n", "error: d\\u009be\\u000d\n"]);
});

/** A loop that is asked to stop by signals. */
const loop = (whenAborted: string) =>
  `const signal = main.interruptSignal();
  await main.runTask(async () => {
    console.log("ready");
    for (let i = 0; i < 3000; i++) {
      if (signal.aborted) { ${whenAborted} }
      await new Promise((r) => setTimeout(r, 10));
    }
  });`;

permissionTest("main: the first signal ends the loop, the second the process", run, async () => {
  if (Deno.build.os === "windows") return; // a child cannot be sent signals there
  for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    const polite = evaluate(loop(`console.log("saved"); break;`)).spawn();
    const first = polite.stdout.getReader();
    await first.read();
    first.releaseLock();
    // Twice, as a terminal and `deno task` do with Ctrl-C.
    polite.kill(name);
    polite.kill(name);
    const ended = await polite.output();
    assertEquals([ended.code, new TextDecoder().decode(ended.stdout)], [code, "saved\n"], name);

    const stubborn = evaluate(loop(`console.log("busy");`)).spawn();
    const lines = stubborn.stdout.getReader();
    await lines.read();
    stubborn.kill(name);
    await lines.read();
    await new Promise((resolve) => setTimeout(resolve, 600));
    stubborn.kill("SIGINT");
    lines.releaseLock();
    const stopped = await stubborn.output();
    assertEquals(stopped.code, code);
    const told = new TextDecoder().decode(stopped.stderr);
    assertStringIncludes(told, "press Ctrl-C again to stop at once");
    assertNotMatch(told, /\n\s+at /);
  }
});

permissionTest("main: a signal that nothing waits for lets what unloads be done", run, async () => {
  if (Deno.build.os === "windows") return; // a child cannot be sent signals there
  const unload =
    `addEventListener("unload", () => console.log("unloaded"));\nmain.endOnSignals();\n`;
  const wait = `await main.runTask(async () => {
    console.log("ready");
    await new Promise((r) => setTimeout(r, 30_000));
  });`;
  for (
    const [code, said] of [
      [wait, "unloaded\n"],
      [loop(`console.log("saved"); break;`), "saved\nunloaded\n"],
    ]
  ) {
    const child = evaluate(unload + code).spawn();
    const lines = child.stdout.getReader();
    await lines.read();
    lines.releaseLock();
    child.kill("SIGINT");
    const ended = await child.output();
    assertEquals([ended.code, new TextDecoder().decode(ended.stdout)], [130, said]);
  }
});

permissionTest("main: under nohup a closed terminal does not end a task", run, async () => {
  if (Deno.build.os === "windows") return; // a child cannot be sent signals there
  const code = `await main.runTask(async () => {
    main.interruptSignal();
    console.log("ready");
    await new Promise((r) => setTimeout(r, 500));
    console.log("went on");
  });`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["eval", `--config=${config}`, `import * as main from "${library}";\n${code}`],
    env: { NO_COLOR: "1", NECKAR_IGNORE_HUP: "1" },
    stdout: "piped",
  });
  const child = command.spawn();
  const lines = child.stdout.getReader();
  await lines.read();
  lines.releaseLock();
  child.kill("SIGHUP");
  const ended = await child.output();
  assertEquals([ended.code, new TextDecoder().decode(ended.stdout)], [0, "went on\n"]);
});

permissionTest(
  "main: a full disk under stdout is one sentence, after the work is done",
  run,
  async () => {
    if (Deno.build.os !== "linux") return; // /dev/full
    const code = `main.runTask(() => { console.log("x"); console.error("saved"); })`;
    const command = new Deno.Command("sh", {
      args: ["-c", `"$0" eval --config="$1" "$2" >/dev/full`, Deno.execPath(), config].concat(
        `import * as main from "${library}";\n${code}`,
      ),
      env: { NO_COLOR: "1" },
      stderr: "piped",
    });
    const full = await command.output();
    const text = new TextDecoder().decode(full.stderr);
    assertEquals(
      [full.code, text],
      [1, "saved\nerror: The output cannot be written: the disk is full\n"],
    );
  },
);
