/** PyTorch as a peer in the same run: a child process that times on request, where it is installed. */
import { fromFileUrl } from "@std/path";

/** A running peer. */
export interface Peer {
  /** Its version, and what it runs on. */
  version: string;
  device: string;
  /** Milliseconds of a run of a subject, such as `lstm` or `matmul:512x512x512`, of `steps` one after the other. */
  time(subject: string, steps: number): Promise<number>;
  /** Send data under a name, which later subjects refer to. */
  send(name: string, data: unknown): Promise<void>;
  close(): Promise<void>;
}

/** Start PyTorch, on a GPU where it may and finds one; or say why there is none. */
export async function startPeer(cuda: boolean): Promise<Peer | string> {
  const script = fromFileUrl(import.meta.resolve("./torch_peer.py"));
  for (const python of ["python3", "/usr/bin/python3"]) {
    const child = spawn(python, [script, ...(cuda ? ["cuda"] : [])]);
    if (child === undefined) continue;
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(splitLines());
    const reader = lines.getReader();
    const hello = await reader.read();
    if (hello.done) {
      await child.status;
      continue;
    }
    const { torch: version, device } = JSON.parse(hello.value) as {
      torch: string;
      device: string;
    };
    const writer = child.stdin.getWriter();
    const encoder = new TextEncoder();
    return {
      version,
      device,
      async time(subject, steps) {
        await writer.write(encoder.encode(`${subject} ${steps}\n`));
        const { value, done } = await reader.read();
        if (done) throw new Error("The PyTorch process ended early");
        return (JSON.parse(value) as { ms: number }).ms;
      },
      async send(name, data) {
        await writer.write(encoder.encode(`data ${name} ${JSON.stringify(data)}\n`));
        const { done } = await reader.read();
        if (done) throw new Error("The PyTorch process ended early");
      },
      async close() {
        await writer.close();
        await child.status;
      },
    };
  }
  return "PyTorch is not installed (Debian: apt-get install python3-torch libopenblas0)";
}

function spawn(python: string, args: string[]): Deno.ChildProcess | undefined {
  try {
    const command = new Deno.Command(python, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    });
    return command.spawn();
  } catch {
    return undefined;
  }
}

function splitLines(): TransformStream<string, string> {
  let rest = "";
  return new TransformStream({
    transform(text, controller) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) controller.enqueue(line);
    },
  });
}
