/** The two pictures of a style run: files, or drawings. */
import { basename, join } from "@std/path";
import { resizeShorter } from "../../data/images/augment.ts";
import { contentDrawing, styleDrawing } from "../../data/made/drawings.ts";
import { type RgbImage, useImage } from "../../data/images/image.ts";
import { CONTENT_FILE, type StylePreset } from "./paintings.ts";
import type { StyleSettings } from "./settings.ts";
import { UserError } from "../../data/files/user_error.ts";

/** A picture with its name. */
export interface StylePicture {
  name: string;
  /** The file; a drawing has none. */
  path?: string;
  /** At the size that the network sees. */
  image: RgbImage;
}

/** Both pictures. */
export interface StylePictures {
  content: StylePicture;
  style: StylePicture;
}

/** The least pixels of a picture's side. */
const LEAST_SIDE = 16;

/** The most pixels of a picture that the network sees: its first maps then take the 128 MiB that every adapter can bind. */
const MOST_PIXELS = 2 ** 21;

/** Resize a picture. UserError where it is too small, or so long that it would be too large. */
function fit(image: RgbImage, size: number, what: string): RgbImage {
  const { width, height } = image;
  if (Math.min(width, height) < LEAST_SIDE) {
    throw new UserError(
      `${what} has ${width} x ${height} pixels, and at least ${LEAST_SIDE} x ${LEAST_SIDE} are needed`,
    );
  }
  const pixels = size ** 2 * Math.max(width, height) / Math.min(width, height);
  if (pixels > MOST_PIXELS) {
    throw new UserError(
      `${what} has ${width} x ${height} pixels, which are ${
        Math.round(pixels)
      } when the shorter side ` +
        `is ${size}: at most ${MOST_PIXELS} can be worked on, so a smaller size is needed`,
    );
  }
  return resizeShorter(image, size);
}

async function readPicture(path: string, size: number, role: string): Promise<StylePicture> {
  const what = `The ${role} picture ${path}`;
  let image: RgbImage;
  try {
    image = await useImage(path, (image) => fit(image, size, what));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UserError(`${what} is not there`);
  }
  return { name: basename(path), path, image };
}

function drawPicture(
  role: "content" | "style",
  { drawing }: StylePreset,
  size: number,
): StylePicture {
  // Drawn at its size, four to three, so that nothing is lost.
  const shape = [Math.round(4 / 3 * size), size] as const;
  return role === "content"
    ? { name: "a drawn town", image: contentDrawing(...shape) }
    : { name: `drawn ${drawing}`, image: styleDrawing(drawing, ...shape) };
}

/** Read or draw both pictures. Everything wrong with them is found here. */
export async function stylePictures(settings: StyleSettings): Promise<StylePictures> {
  const { data, preset, size, styleSize } = settings;
  const one = (role: "content" | "style", given: string | undefined, size: number) => {
    if (given !== undefined) return readPicture(given, size, role);
    // Without a painting both files must be given.
    const painting = preset!;
    const inFolder = role === "content" ? CONTENT_FILE : painting.file;
    return data === undefined
      ? drawPicture(role, painting, size)
      : readPicture(join(data, inFolder), size, role);
  };
  return {
    content: await one("content", settings.content, size),
    style: await one("style", settings.style, styleSize),
  };
}

/** Sentences about pictures that were drawn. */
export function drawnNotes({ content, style }: StylePictures): string[] {
  const drawn = [
    ...(content.path === undefined ? ["content"] : []),
    ...(style.path === undefined ? ["style"] : []),
  ];
  if (drawn.length === 0) return [];
  return [
    drawn.length === 2
      ? "Both pictures are drawn by neckar itself, since no --data=DIR is given: they are no photograph and no painting"
      : `The ${drawn[0]} picture is drawn by neckar itself, since no file is given for it`,
  ];
}
