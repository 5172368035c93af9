/** The homework's three paintings with their numbers, and those that suit the embedded network. */
import type { StyleName } from "../../data/made/drawings.ts";

/** How the search goes on: settings whose defaults differ between networks. */
export interface SearchDefaults {
  contentWeight: number;
  styleLayers: readonly number[];
  styleWeights: readonly number[];
  tvWeight: number;
  iterations: number;
  lr: number;
  lrLate: number;
  lateAt: number;
  clampUntil: number;
}

/** The homework's for all paintings. */
const HOMEWORK = { iterations: 200, lr: 3, lrLate: 0.1, lateAt: 180, clampUntil: 190 } as const;

/** What suits the embedded network, whose maps are rougher: smaller steps, and smoother pictures. */
export const EMBEDDED_DEFAULTS: SearchDefaults = {
  contentWeight: 3e-3,
  styleLayers: [1, 4, 6, 7],
  styleWeights: [300_000, 1000, 15, 3],
  tvWeight: 0.2,
  iterations: 300,
  lr: 0.05,
  lrLate: 0.005,
  lateAt: 270,
  clampUntil: 285,
};

/** What the homework lists for a painting. */
export interface StyleDefaults extends SearchDefaults {
  /** Pixels of the shorter side of the content picture, and of the style picture. */
  size: number;
  styleSize: number;
  contentLayer: number;
}

/** A painting that has a task of its own. */
export interface StylePreset extends StyleDefaults {
  /** The task is `style-<name>`. */
  name: string;
  title: string;
  /** Its file in the data folder. */
  file: string;
  /** The drawing that stands in for it where there is no data folder. */
  drawing: StyleName;
}

/** The content picture in the data folder. */
export const CONTENT_FILE = "tubingen.jpg";

/** The paintings by the names of their tasks. */
export const STYLE_PRESETS = {
  composition: {
    name: "composition",
    title: "Composition VII",
    file: "composition_vii.jpg",
    drawing: "patches",
    ...HOMEWORK,
    size: 192,
    styleSize: 512,
    contentLayer: 3,
    contentWeight: 5e-2,
    styleLayers: [1, 4, 6, 7],
    styleWeights: [20_000, 500, 12, 1],
    tvWeight: 5e-2,
  },
  scream: {
    name: "scream",
    title: "The Scream",
    file: "the_scream.jpg",
    drawing: "bands",
    ...HOMEWORK,
    size: 192,
    styleSize: 224,
    contentLayer: 3,
    contentWeight: 3e-2,
    styleLayers: [1, 4, 6, 7],
    styleWeights: [200_000, 800, 12, 1],
    tvWeight: 2e-2,
  },
  starry: {
    name: "starry",
    title: "The Starry Night",
    file: "starry_night.jpg",
    drawing: "swirls",
    ...HOMEWORK,
    size: 192,
    styleSize: 192,
    contentLayer: 3,
    contentWeight: 6e-2,
    styleLayers: [1, 4, 6, 7],
    styleWeights: [300_000, 1000, 15, 3],
    tvWeight: 2e-2,
  },
} as const satisfies Record<string, StylePreset>;

/** The name of a painting. */
export type StylePresetName = keyof typeof STYLE_PRESETS;
