/** Pictures as HTML that stands alone: small copies inside the page instead of links to files. */
import { Buffer } from "node:buffer";
import { extname } from "@std/path";
import type { Picture } from "../../data/sets/captions.ts";
import { readBytes } from "../../data/files/file.ts";
import { encodeJpeg, encodePng, type RgbImage, useImage } from "../../data/images/image.ts";
import { checkWithin } from "../../data/sets/picture_lines.ts";
import { resize } from "../../data/images/resize.ts";

/** Markup that may go into a page as it is. Only the makers in this folder build it. */
export type Html = string & { readonly __html: true };

/** Mark text as markup. What came from outside must have gone through {@link escape}. */
export function markup(text: string): Html {
  return text as Html;
}

/**
 * Text as it must stand in HTML, in attributes too.
 *
 * @example
 * ```ts
 * if (escape('<b> & "c"') !== "&lt;b&gt; &amp; &quot;c&quot;") throw new Error("not escaped");
 * ```
 */
export function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}

/** The longest side of a picture in a page, in pixels. */
const LONGEST = 320;

// What every browser shows, so that it can go into the page unchanged where sharp is missing.
const WEB_TYPES: Record<string, string> = {
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".png": "image/png",
  ".gif": "image/gif",
  ".webp": "image/webp",
};

/** What {@link pictureHtml} tells on the way. */
export interface PictureOptions {
  /** Called for each picture that cannot be shown, with the reason, for a count in the report. */
  onUnreadable?: (name: string, reason: string) => void;
}

/** An `<img>` with its bytes inside. A browser runs no script and loads nothing for such a picture. */
export function dataImage(type: string, bytes: Uint8Array | string, alt: string): Html {
  const base64 = Buffer.from(bytes).toString("base64");
  return markup(`<img src="data:${type};base64,${base64}" alt="${escape(alt)}">`);
}

/** A drawing inside the page. Inside an `<img>` an SVG must name its namespace. */
export function svgImage(svg: string, alt: string): Html {
  const named = /<svg[^>]*\sxmlns\s*=/.test(svg)
    ? svg
    : svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"');
  return dataImage("image/svg+xml", named, alt);
}

/** The longest file that goes into a page as it is, in bytes. */
const MOST_UNDECODED = 2 ** 25;

/** The picture of a file as the networks see it, by the same limits of kinds, sizes and memory. */
async function fileImage(path: string, alt: string): Promise<Html> {
  const type = WEB_TYPES[extname(path).toLowerCase()];
  let image: RgbImage;
  try {
    image = await useImage(path, shrink);
  } catch (error) {
    // Without sharp a browser may still show it.
    if (!(error instanceof Deno.errors.NotSupported) || type === undefined) throw error;
    return dataImage(type, await readBytes(path, MOST_UNDECODED), alt);
  }
  return type === "image/png"
    ? dataImage(type, await encodePng(image), alt)
    : dataImage("image/jpeg", await encodeJpeg(image, { quality: 82 }), alt);
}

/** The picture with its longest side at most {@link LONGEST}. */
function shrink(image: RgbImage): RgbImage {
  const share = LONGEST / Math.max(image.width, image.height);
  if (share >= 1) return image;
  const scaled = (side: number) => Math.max(1, Math.round(share * side));
  return resize(image, scaled(image.width), scaled(image.height));
}

function webImage(address: string, name: string): Html {
  const url = new URL(address);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError(`"${address}" is no web address`);
  const alt = escape(`${name} (on the web, needs the network)`);
  const href = escape(url.href);
  return markup(
    `<a href="${href}" rel="noreferrer">` +
      `<img src="${href}" alt="${alt}" loading="lazy" referrerpolicy="no-referrer"></a>`,
  );
}

/**
 * A picture of a data set as markup for a page. A file becomes a copy of at most 320 pixels inside
 * the page (PNG stays PNG, everything else becomes JPEG), a drawing goes in whole, a web address
 * stays a link. A file that cannot be read or decoded, or a wrong address, becomes a placeholder.
 *
 * Files need `--allow-read`, and sharp `--allow-ffi` and
 * `--allow-env=npm_package_config_libvips,MALLOC_ARENA_MAX`. Without sharp a JPEG, PNG, GIF or WebP
 * file goes in at its full size.
 *
 * @example
 * ```ts
 * const svg = '<svg viewBox="0 0 1 1"><rect width="1" height="1"/></svg>';
 * const html = await pictureHtml({ name: "a square", source: { kind: "svg", svg } });
 * if (!html.startsWith('<img src="data:image/svg+xml;base64,')) throw new Error(html);
 * ```
 */
export async function pictureHtml(picture: Picture, options: PictureOptions = {}): Promise<Html> {
  const { name, source } = picture;
  try {
    switch (source.kind) {
      case "svg":
        return svgImage(source.svg, name);
      case "url":
        return webImage(source.url, name);
      case "file":
        await checkWithin(source);
        return await fileImage(source.path, name);
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    options.onUnreadable?.(name, reason);
    return markup(`<div class="missing">${escape(name)}<br>cannot be shown</div>`);
  }
}
