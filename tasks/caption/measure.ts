/** How good a captioner is at the end of a run. */
import { type CaptionData, spreadPictures } from "../../data/sets/captions.ts";
import {
  evaluateLoss,
  type PreparedSplit,
  sampleCaptions,
  scoreCaptions,
} from "../../models/captions/caption_training.ts";
import type { Captioner } from "../../models/captions/captioner.ts";
import type { Pace } from "../../models/training/pace.ts";
import type { CaptionResults, SplitResults } from "./report.ts";
import type { CaptionSettings } from "./settings.ts";
import { UserError } from "../../data/files/user_error.ts";

/** At most this many training pictures are captioned at the end of a run. */
const MOST_MEASURED = 500;

/** So many pictures of a split, spread over it: enough to measure on, quick to caption. */
export function somePictures(split: PreparedSplit, most: number): PreparedSplit {
  const some = { ...split, ...spreadPictures(split, most) };
  if (some.imageIndex.length > 0) return some;
  throw new UserError(`None of the ${some.pictures.length} pictures to measure on has a caption`);
}

async function measure(
  captioner: Captioner,
  split: PreparedSplit,
  data: CaptionData,
  settings: CaptionSettings,
  onBatch?: () => void | Promise<void>,
): Promise<SplitResults> {
  const { vocabulary } = data;
  const { beam: width, lengthPower } = settings;
  const greedy = await sampleCaptions(captioner, split, vocabulary, { onBatch });
  const beam = await sampleCaptions(captioner, split, vocabulary, {
    beam: width,
    lengthPower,
    onBatch,
  });
  const loss = await evaluateLoss(captioner, split, undefined, onBatch);
  return {
    split,
    greedy,
    beam,
    loss,
    greedyScores: scoreCaptions(greedy, split, vocabulary),
    beamScores: scoreCaptions(beam, split, vocabulary),
  };
}

/** After an interruption so many pictures of a split are captioned: it must not go on for long. */
const MEASURED_INTERRUPTED = 16;

/** Caption both splits, or after an interruption, or one on the way, a few pictures of them. */
export async function measureSplits(
  captioner: Captioner,
  splits: { train: PreparedSplit; val: PreparedSplit },
  data: CaptionData,
  settings: CaptionSettings,
  pace: Pace,
): Promise<Pick<CaptionResults, "train" | "val">> {
  const both = async (few: boolean, onBatch?: () => void | Promise<void>) => {
    const of = (split: PreparedSplit, most: number) =>
      measure(
        captioner,
        somePictures(split, few ? MEASURED_INTERRUPTED : most),
        data,
        settings,
        onBatch,
      );
    return {
      train: await of(splits.train, MOST_MEASURED),
      val: await of(splits.val, Infinity),
    };
  };
  const whole = await pace.measure((onBatch) => both(false, onBatch));
  return whole ?? await both(true);
}
