/** The errors of the GPU layer. */

/** No WebGPU adapter could be had; the message says what to install on this system. */
export class NoAdapterError extends Error {
  /** Its name. */
  override name = "NoAdapterError";
}

/** The GPU refused something: a shader that does not compile, a lost device, memory it does not have. */
export class GpuError extends Error {
  /** Its name. */
  override name = "GpuError";
}

function advice(os: string): string {
  switch (os) {
    case "linux":
      return "install a Vulkan driver: the one of your graphics card, or, without a card, " +
        "Mesa's software driver (Debian and Ubuntu: apt-get install mesa-vulkan-drivers)";
    case "windows":
      return "install the current driver of your graphics card (Deno uses DirectX 12 or Vulkan)";
    case "darwin":
      return "run on a macOS with Metal support (any Mac since 2012)";
    default:
      return "install a Vulkan driver";
  }
}

/** The one message for a machine without an adapter: which system, which Deno, what to do. */
export function noAdapterMessage(os: string, denoVersion: string, backend?: string): string {
  const forced = backend === undefined
    ? ""
    : ` (the environment variable DENO_WEBGPU_BACKEND is "${backend}"; unset it to use any backend)`;
  return `Deno ${denoVersion} on ${os} finds no WebGPU adapter${forced}: ${advice(os)}`;
}
