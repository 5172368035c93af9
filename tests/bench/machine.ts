/** What the figures were measured on. */

/** The CPU's name, with its family and model, which tell machines of one name apart. */
export async function cpuName(): Promise<string> {
  try {
    // Deno itself wants all permissions for files of /proc.
    const { stdout } = await new Deno.Command("cat", { args: ["/proc/cpuinfo"] }).output();
    const text = new TextDecoder().decode(stdout);
    if (text === "") throw new Error("there is none");
    const field = (name: string) => new RegExp(`^${name}\\s*: (.*)$`, "m").exec(text)?.[1] ?? "?";
    const vectors = /\bavx512f\b/.test(text) ? "AVX-512" : /\bavx2\b/.test(text) ? "AVX2" : "";
    return `${field("model name")} (family ${field("cpu family")}, model ${
      field("model")
    }) ${vectors}`;
  } catch {
    return `${Deno.build.os} ${Deno.build.arch}`;
  }
}

/** Mesa's version, which the driver's file holds and WebGPU does not tell: empty for other drivers. */
export async function driverVersion(): Promise<string> {
  const named = Deno.env.get("VK_DRIVER_FILES") ?? Deno.env.get("VK_ICD_FILENAMES");
  const manifests = named?.split(":") ??
    ["lvp_icd.x86_64.json", "lvp_icd.aarch64.json", "lvp_icd.json"]
      .map((name) => `/usr/share/vulkan/icd.d/${name}`);
  for (const manifest of manifests) {
    try {
      const { ICD } = JSON.parse(await Deno.readTextFile(manifest));
      const driver = new TextDecoder("latin1").decode(await Deno.readFile(ICD.library_path));
      const version = /Mesa (\d+\.\d+\.\d+)/.exec(driver);
      if (version !== null) return `, Mesa ${version[1]}`;
    } catch {
      // another one may be there
    }
  }
  return "";
}
