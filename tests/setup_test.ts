/**
 * The script `neckar`, on machines made of fakes: a folder with the few programs that it may see,
 * small shell scripts in the place of deno, npm and apt-get. Nothing is installed, and no network.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { permissionTest } from "./support.ts";

const SCRIPT = fromFileUrl(new URL("../neckar", import.meta.url));

// Prints the words of `deno task` one a line, and ends with status 7. Vulkan works where the file
// `driver` stands in the project's folder; each time that is asked, a line goes to `log`.
function fakeDeno(version: string): string {
  return `case $1 in
  --version) echo "deno ${version} (stable, release)"; echo "v8 1.2.3" ;;
  eval) echo "asked $DENO_WEBGPU_BACKEND" >>log; [ -e driver ] ;;
  task) shift; echo "${version} in $(pwd)"; printf '<%s>\\n' "$@"; exit 7 ;;
esac`;
}

// Puts a fake Deno where npm would put the real one.
const FAKE_NPM = `echo "npm $*" >>log
mkdir -p .neckar/node_modules/@deno/linux-x64-glibc
cp npm-deno .neckar/node_modules/@deno/linux-x64-glibc/deno`;

/** A project's folder with the script in it, and a folder `bin` that is the whole PATH. */
class Machine {
  readonly root: string;

  constructor(programs: Record<string, string> = {}, files: Record<string, string> = {}) {
    this.root = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "neckar setup " }));
    Deno.mkdirSync(join(this.root, "bin"));
    Deno.copyFileSync(SCRIPT, join(this.root, "neckar"));
    for (const name of ["cat", "chmod", "cp", "env", "mkdir", "rm"]) this.#link(name);
    // Debian without root, unless a test says otherwise.
    const debian = { uname: "echo Linux", id: "echo 1000", sudo: "exit 1", dpkg: "exit 1" };
    for (const [name, body] of Object.entries({ ...debian, ...programs })) {
      this.write(join("bin", name), `#!/bin/sh\n${body}\n`);
    }
    for (const [name, body] of Object.entries(files)) this.write(name, body);
  }

  #link(name: string): void {
    const target = ["/bin", "/usr/bin"].map((folder) => join(folder, name)).find((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    });
    if (target === undefined) throw new Error(`There is no ${name} in /bin or /usr/bin`);
    Deno.symlinkSync(target, join(this.root, "bin", name));
  }

  write(name: string, body: string): void {
    Deno.writeTextFileSync(join(this.root, name), body, { mode: 0o755 });
  }

  /** What the fakes noted: one line for each question to Deno, npm or apt-get. */
  log(): string[] {
    try {
      return Deno.readTextFileSync(join(this.root, "log")).trim().split("\n");
    } catch {
      return [];
    }
  }

  async neckar(
    words: string[],
    env: Record<string, string> = {},
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const { code, stdout, stderr } = await new Deno.Command(join(this.root, "neckar"), {
      args: words,
      clearEnv: true,
      env: { PATH: join(this.root, "bin"), ...env },
      cwd: "/",
      stdin: "null",
    }).output();
    const text = new TextDecoder();
    return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

function setupTest(name: string, fn: () => Promise<void>): void {
  if (Deno.build.os === "windows") {
    Deno.test({ name: `${name} (skipped: needs sh)`, ignore: true, fn });
  } else {
    permissionTest(name, [{ name: "read" }, { name: "write" }, { name: "run" }], fn);
  }
}

setupTest("neckar passes words, the status and the folder on, and is silent", async () => {
  using machine = new Machine({ deno: fakeDeno("2.8.0") }, { driver: "" });
  const words = ["train", "two words", `it's "quoted"`, "$HOME *", "", "--lr=1e-3"];
  const { code, stdout, stderr } = await machine.neckar(words);
  assertEquals(stderr, "");
  assertEquals(stdout, [`2.8.0 in ${machine.root}`, ...words.map((w) => `<${w}>`), ""].join("\n"));
  assertEquals(code, 7);
});

setupTest("neckar becomes Deno, so that Ctrl-C and signals reach it", async () => {
  using machine = new Machine({
    deno: `case $1 in --version) echo deno 2.9.6 ;; eval) ;; task) echo $$; kill -TERM $$ ;; esac`,
  });
  const child = new Deno.Command(join(machine.root, "neckar"), {
    args: ["train"],
    clearEnv: true,
    env: { PATH: join(machine.root, "bin") },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const { signal, stdout } = await child.output();
  assertEquals([new TextDecoder().decode(stdout), signal], [`${child.pid}\n`, "SIGTERM"]);
});

const CONFIG = `{
  "tasks": {
    "train": {
      "description": "Learn",
      "command": "deno run --allow-read=a,b tasks/train.ts"
    },
    "ok": {
      "description": "Check",
      "command": "deno run x.ts && deno lint"
    }
  }
}
`;

setupTest("neckar starts a plain command itself, and nothing stays between", async () => {
  using machine = new Machine({
    deno: `case $1 in
  --version) echo deno 2.9.6 ;;
  eval) ;;
  *) printf '<%s>\\n' "$NECKAR_IGNORE_HUP" "$@" ;;
esac`,
  }, { "deno.json": CONFIG });
  const lines = async (words: string[]) => (await machine.neckar(words)).stdout;
  assertEquals(
    await lines(["train", "--data=two words", "*"]),
    "<>\n<run>\n<--allow-read=a,b>\n<tasks/train.ts>\n<--data=two words>\n<*>\n",
  );
  // What has more than one command is for `deno task`, and so is what is no task.
  assertEquals(await lines(["ok"]), "<>\n<task>\n<ok>\n");
  assertEquals(await lines(["tr*"]), "<>\n<task>\n<tr*>\n");
  if (Deno.build.os !== "linux") return; // elsewhere the shell cannot tell
  const { stdout } = await new Deno.Command("/bin/sh", {
    args: ["-c", `trap "" HUP; exec "$0" "$@"`, join(machine.root, "neckar"), "train"],
    clearEnv: true,
    env: { PATH: join(machine.root, "bin") },
    stdin: "null",
  }).output();
  assertEquals(new TextDecoder().decode(stdout).split("\n")[0], "<1>");
});

setupTest("neckar without words lists the tasks and says how to run one", async () => {
  using machine = new Machine({
    deno: `case $* in --version) echo deno 3.0.1 ;; task) echo listed ;; *) exit 9 ;; esac`,
  });
  const { code, stdout, stderr } = await machine.neckar([]);
  assertEquals([code, stdout], [0, "listed\n"]);
  assertStringIncludes(stderr, "./neckar NAME");
});

setupTest("neckar says what to install where there is neither Deno nor npm", async () => {
  using machine = new Machine();
  const { code, stdout, stderr } = await machine.neckar(["train"]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(
    stderr,
    /^neckar: Deno is not on the PATH, and npm is not there.* Node\.js with npm\n$/,
  );
});

setupTest("neckar installs a pinned Deno with npm, once", async () => {
  using machine = new Machine({ npm: FAKE_NPM }, { "npm-deno": `#!/bin/sh\n${fakeDeno("2.9.6")}` });
  machine.write("driver", "");
  const first = await machine.neckar(["train"]);
  assertMatch(
    first.stderr,
    /^neckar: Deno is not on the PATH; installing Deno \d+\.\d+\.\d+ .*\n$/,
  );
  assertEquals([first.code, first.stdout], [7, `2.9.6 in ${machine.root}\n<train>\n`]);
  const [npm, asked] = machine.log();
  assertMatch(npm, /^npm install --prefix .* deno@\d+\.\d+\.\d+$/);
  assertEquals(asked, "asked vulkan");

  const second = await machine.neckar(["train"]);
  assertEquals(second, { ...first, stderr: "" });
  assertEquals(machine.log().length, 2, "the second start installs nothing and asks nothing");
});

setupTest("neckar does not use a Deno older than the floor, or one that does not run", async () => {
  for (const [body, complaint] of [[fakeDeno("2.7.14"), "2.7.14"], ["exit 127", "unknown"]]) {
    using machine = new Machine({ deno: body, npm: FAKE_NPM });
    machine.write("npm-deno", `#!/bin/sh\n${fakeDeno("2.10.0")}`);
    machine.write("driver", "");
    const { stdout, stderr } = await machine.neckar(["train"]);
    assertStringIncludes(stderr, `the Deno on the PATH is too old (${complaint})`);
    assertStringIncludes(stdout, "2.10.0 in");
  }
});

setupTest("neckar shows npm's output when npm fails", async () => {
  using machine = new Machine({ npm: "echo no route to host; exit 1" });
  const { code, stderr } = await machine.neckar(["train"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "no route to host\nneckar: npm could not install Deno");
});

setupTest("neckar says in one sentence that npm has no network", async () => {
  const log = `echo "npm error code EAI_AGAIN"; echo "npm error syscall getaddrinfo"; exit 1`;
  using machine = new Machine({ npm: log });
  const { code, stderr } = await machine.neckar(["train"]);
  assertEquals(code, 1);
  const [, said, ...rest] = stderr.split("\n");
  assertMatch(said, /^neckar: npm cannot reach its registry, .*by hand \(https:\/\/deno\.com\)$/);
  assertEquals(rest, [""]);
});

setupTest("NECKAR_NO_INSTALL forbids npm and apt-get", async () => {
  const forbidden = { npm: "echo npm >>log", "apt-get": "echo apt >>log", id: "echo 0" };
  using bare = new Machine(forbidden);
  const noDeno = await bare.neckar(["train"], { NECKAR_NO_INSTALL: "1" });
  assertEquals([noDeno.code, bare.log()], [1, []]);
  assertStringIncludes(noDeno.stderr, "NECKAR_NO_INSTALL forbids installing it");

  using machine = new Machine({ ...forbidden, deno: fakeDeno("2.9.6") });
  const noDriver = await machine.neckar(["train"], { NECKAR_NO_INSTALL: "1" });
  assertEquals([noDriver.code, machine.log()], [7, ["asked vulkan"]]);
  assertMatch(noDriver.stderr, /^neckar: .*: apt-get update && .* mesa-vulkan-drivers\n$/);
});

setupTest(
  "neckar installs a Vulkan driver as root, with fresh package lists if need be",
  async () => {
    const aptGet = `echo "$DEBIAN_FRONTEND $*" >>log
case $* in *update*) >lists ;; *) [ -e lists ] && >driver ;; esac`;
    using machine = new Machine({ deno: fakeDeno("2.9.6"), "apt-get": aptGet, id: "echo 0" });
    const first = await machine.neckar(["train"]);
    assertEquals(first.code, 7);
    assertMatch(first.stderr, /^neckar: .*; installing Debian's mesa-vulkan-drivers\n$/);
    const log = machine.log();
    assertEquals(log.length, 5);
    assertEquals([log[0], log[4]], ["asked vulkan", "asked vulkan"]);
    assertMatch(log[1], /^noninteractive .* install .* mesa-vulkan-drivers$/);
    assertMatch(log[2], /^noninteractive .* update$/);
    assertEquals(log[3], log[1]);

    assertEquals((await machine.neckar(["train"])).stderr, "");
    assertEquals(machine.log().length, 5, "a driver that works is not asked for again");
    await machine.neckar(["train"], { VK_DRIVER_FILES: "/other.json" });
    assertEquals(machine.log().length, 6, "another driver is asked for anew");
  },
);

setupTest("neckar goes on without a driver, and says how to install one", async () => {
  using user = new Machine({ deno: fakeDeno("2.9.6"), "apt-get": "echo apt >>log" });
  const asUser = await user.neckar(["train"]);
  assertEquals([asUser.code, user.log()], [7, ["asked vulkan"]]);
  assertMatch(asUser.stderr, /^neckar: .*: sudo apt-get update && sudo apt-get install .*\n$/);

  using failing = new Machine({
    deno: fakeDeno("2.9.6"),
    "apt-get": "echo no space left; exit 100",
    id: "echo 0",
  });
  const failed = await failing.neckar(["train"]);
  assertEquals(failed.code, 7);
  assertStringIncludes(failed.stderr, "no space left\nneckar: apt-get could not install");
});

setupTest("neckar leaves a chosen backend and XDG_RUNTIME_DIR alone", async () => {
  const deno = `${fakeDeno("2.9.6")}\n`.replace("exit 7", 'echo "$XDG_RUNTIME_DIR"; exit 7');
  using machine = new Machine({ deno });
  const chosen = await machine.neckar(["x"], { DENO_WEBGPU_BACKEND: "gl", XDG_RUNTIME_DIR: "/x" });
  assertEquals([chosen.stderr, machine.log()], ["", []]);
  assertStringIncludes(chosen.stdout, "<x>\n/x\n");

  const unset = await machine.neckar(["x"], { DENO_WEBGPU_BACKEND: "gl" });
  const folder = join(machine.root, ".neckar/runtime");
  assertStringIncludes(unset.stdout, `<x>\n${folder}\n`);
  assertEquals((Deno.statSync(folder).mode ?? 0) & 0o777, 0o700);
});

setupTest("neckar names Vulkan to the task where it works, at each start", async () => {
  const deno = `${fakeDeno("2.9.6")}\n`.replace("exit 7", 'echo "on $DENO_WEBGPU_BACKEND"; exit 7');
  using machine = new Machine({ deno }, { driver: "" });
  for (const _start of [1, 2]) {
    assertStringIncludes((await machine.neckar(["x"])).stdout, "on vulkan\n");
  }
  using without = new Machine({ deno });
  assertStringIncludes((await without.neckar(["x"])).stdout, "on \n");
});
