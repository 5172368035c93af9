/** Pretrained networks for pictures by name, with weights from a file. */
import { listedKeys } from "../../data/files/messages.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { networkOf } from "./known_networks.ts";
import { ResNet18 } from "./resnet.ts";
import { describeMisfit } from "../layers/state_dict.ts";
import { SqueezeNet11, type SqueezeNetOptions } from "./squeezenet.ts";
import type { VisionModel } from "./vision_model.ts";
import { UserError } from "../../data/files/user_error.ts";

/** The networks that there are, by torchvision's names. */
export const BACKBONES = ["resnet18", "squeezenet1_1"] as const;

/** A network's name. */
export type BackboneName = (typeof BACKBONES)[number];

/**
 * A network with random weights. Load others, then put it on a GPU with `toGpu`.
 *
 * Errors: TypeError for a ResNet with a width.
 */
export function makeBackbone(
  name: BackboneName,
  classes = 1000,
  options: SqueezeNetOptions = {},
): VisionModel {
  if (name === "squeezenet1_1") return new SqueezeNet11(classes, options);
  if (options.width !== undefined) {
    throw new TypeError(`Only squeezenet1_1 can have a width, and ${name} was given one`);
  }
  return new ResNet18(classes);
}

/** Options of {@linkcode loadPretrained}. */
export interface PretrainedOptions {
  /** Leave the last layer as it is, for other classes than those of the weights. */
  newHead?: boolean;
  /** Allow weights to be missing: parts of the network that can, then begin as identities. */
  partial?: boolean;
}

/** What became of the weights: sentences to show to the user. */
export interface PretrainedReport {
  /** What a user may want to know. */
  notes: string[];
}

/**
 * Load pretrained weights into a network, best before it is on a GPU.
 *
 * Errors: UserError that names the network that the weights are of where it is another one, or the first keys that
 * do not fit: unexpected, of another shape or type and, without `partial`, missing; and for weights that are
 * used and not finite.
 */
export function loadPretrained(
  model: VisionModel,
  weights: ReadonlyMap<string, TensorData>,
  { newHead = false, partial = false }: PretrainedOptions = {},
): PretrainedReport {
  const last = new Set(model.head.parameters);
  const head = new Set(
    model.saved.filter(({ parameter }) => last.has(parameter)).flatMap(({ keys }) => keys),
  );
  const used = new Map([...weights].filter(([key]) => !newHead || !head.has(key)));
  const report = model.load(used, { strict: false, dryRun: true });
  const missing = report.missing.filter((key) => !newHead || !head.has(key));
  const problems = describeMisfit({ ...report, missing: partial ? [] : missing });
  if (problems.length > 0) {
    const other = networkOf(weights);
    if (other !== undefined && !model.kind.startsWith(other)) {
      throw new UserError(
        `The weights do not fit ${model.kind}: these are the weights of ${other}; known are ${
          BACKBONES.join(", ")
        }`,
      );
    }
    const incomplete = describeMisfit({ ...report, missing: [] }).length === 0;
    throw new UserError(
      `The weights do not fit ${model.kind}; ${problems.join("; ")}` +
        (incomplete ? ". With --partial (`partial` in a script) weights may lack some" : ""),
    );
  }
  model.load(used, { strict: false });
  if (missing.length === 0) return { notes: [] };
  const started = model.startWithout(missing);
  const notes = [`The weights lack ${listedKeys(missing, 10)}, which begin at random`];
  if (started.length > 0) {
    notes.push(`${started.join(", ")} begins as an identity, as its weights are not all there`);
  }
  return { notes };
}
