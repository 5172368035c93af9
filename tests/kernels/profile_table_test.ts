import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { profileTable } from "../../kernels/runtime/profile/profile_table.ts";
import type { Profile } from "../../kernels/runtime/profile/profiler.ts";

const PROFILE: Profile = {
  adapter: "some adapter",
  path: "subgroup",
  way: "submits",
  kernels: [
    {
      ...{ name: "a small one", calls: 12, ms: 3, bytes: 24e6 },
      ...{ flops: undefined, pipelines: 1, compileMs: 0 },
    },
    {
      ...{ name: "product", calls: 1234, ms: 617, bytes: 61.7e6 },
      ...{ flops: 617e8, pipelines: 2, compileMs: 80.04 },
    },
  ],
  moves: [{ name: "reads", calls: 7, ms: 100, bytes: 50e6 }],
  ms: 1000,
  submits: 1253,
  submitMs: 125.3,
};

Deno.test("a profile's table is sorted by time, aligned, and adds up", () => {
  assertEquals(
    profileTable(PROFILE),
    `What took the time on some adapter (subgroup path, each dispatch submitted and waited for alone):

kernel                      calls      ms    share  ms each  GFLOP/s  GB/s  compiling ms
----------------------------------------------------------------------------------------
product                      1234   617.0   61.7 %    0.500      100  0.10          80.0
a small one                    12     3.0    0.3 %    0.250            8.0
----------------------------------------------------------------------------------------
all kernels                  1246   620.0   62.0 %
compiling pipelines             3    80.0    8.0 %
reads                           7   100.0   10.0 %   14.286           0.50
JavaScript, files, waiting          200.0   20.0 %
----------------------------------------------------------------------------------------
all                                1000.0  100.0 %

1253 submits, one for each dispatch and move; submitting and waiting took 125.3 ms more, which is left out above`,
  );
});

Deno.test("a profile's table leaves open what is not known", () => {
  const unknown = PROFILE.kernels.map((kernel) => ({ ...kernel, ms: undefined }));
  const moves = PROFILE.moves.map((work) => ({ ...work, ms: undefined }));
  const counted = profileTable({ ...PROFILE, way: "counts", kernels: unknown, moves });
  // By calls where no times are known.
  const lines = counted.split("\n");
  assertEquals(lines[4].trim().split(/\s\s+/), ["product", "1234", "80.0"]);
  assertEquals(lines[5].trim().split(/\s\s+/), ["a small one", "12"]);
  assert(!/NaN|undefined|Infinity/.test(counted), counted);
  const stamped = profileTable({ ...PROFILE, way: "timestamps", moves });
  assertStringIncludes(stamped, "1253 submits");
  assert(!/NaN|undefined|Infinity/.test(stamped), stamped);
  const nothing = profileTable({ ...PROFILE, kernels: [], moves: [], ms: 0 });
  assert(!/NaN|undefined|Infinity/.test(nothing), nothing);
});
