import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../tasks/lib/flags.ts";
import { commandLine } from "../../tasks/lib/resume.ts";
import { transferSettings } from "../../tasks/transfer/settings.ts";
import { permissionTest } from "../support.ts";
import { withTempFolder } from "./task_process.ts";
import { UserError } from "../../data/files/user_error.ts";

const TASK = "transfer-freeze";
const read = (args: readonly string[]) => transferSettings("head", args);
const line = (...args: string[]) => commandLine(args, TASK, read);

permissionTest(
  "--resume takes the run's settings, and refuses others",
  [{ name: "read" }, { name: "write" }],
  async () => {
    await withTempFolder(async (run) => {
      const args = ["--data=pictures", "--weights=net.pth", "--epochs=3", "--lr=0.01", "--strict"];
      const earlier = { args, resume: run, settings: read(args) };
      const config = join(run, "config.json");
      const write = (value: unknown) => Deno.writeTextFile(config, JSON.stringify(value));
      const refuse = (args: string[], part: string) => {
        const error = assertThrows(() => line(`--resume=${run}`, ...args), Error);
        assertStringIncludes(error.message, part);
        assert(error instanceof UsageError || error instanceof UserError, error.name);
      };
      refuse([], `There is no config.json in ${run}: --resume takes the folder of a run`);
      await write({ task: TASK, arguments: args });
      assertEquals(line("--resume", run), earlier);
      assertEquals(line(`--resume=${run}`, "--epochs", "3", "--strict", "--lr=1e-2"), earlier);
      refuse(
        ["--epochs=4", "--no-strict", "--seed=231"],
        `The run in ${run} was made with other settings: --epochs is 4 here and 3 there; ` +
          "--strict is false here and true there",
      );
      refuse(["--out=x"], "--out is x here and runs there");
      refuse(["--epochs=many"], "Flag --epochs takes a whole number, at least 1");
      await write({ task: "transfer-finetune", arguments: args });
      refuse([], "is one of transfer-finetune, and not of transfer-freeze");
      await write({ task: TASK, arguments: ["--epochs=many"] });
      refuse([], "is of no run that can be: Flag --epochs takes a whole number, at least 1");
      await write({ task: TASK });
      refuse([], "has no command line of its run");
      await write(null);
      refuse([], "names no task: it is not of a run");
      await Deno.writeTextFile(config, "{");
      refuse([], "config.json is no JSON");
      const plain = { args: ["--epochs=2"], resume: undefined, settings: read(["--epochs=2"]) };
      assertEquals(line("--epochs=2"), plain);
    });
  },
);
