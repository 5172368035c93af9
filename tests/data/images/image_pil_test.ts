import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { decodeImage, type RgbImage } from "../../../data/images/image.ts";
import { permissionTest } from "../../support.ts";
import { library } from "./images.ts";
import { UserError } from "../../../data/files/user_error.ts";

const folder = fromFileUrl(new URL("../../fixtures/pictures/", import.meta.url));

/** Width, height and pixels, or the sentence with which PIL refuses the file. */
type Answer = [width: number, height: number, base64: string] | string;

/** Kinds that are refused, and a part of the sentence that says why. */
const REFUSED: Record<string, string> = {
  "cmyk_16.tif": "TIFF: 4 samples of 16 bits with the meaning 5 are not read",
  "grey_float.tif": "TIFF: samples that are signed or no integers are not read",
  "grey_i32.tif": "TIFF: samples that are signed or no integers are not read",
  "grey_signed.tif": "TIFF: samples that are signed or no integers are not read",
  "lab.tif": "TIFF: 3 samples of 8 bits with the meaning 8 are not read",
  "rgb_float.tif": "TIFF: samples that are signed or no integers are not read",
  "rgb_planar_tiled.tif": "tiled separate planes not supported",
  "ycbcr.tif": "TIFF: 3 samples of 8 bits with the meaning 6 are not read",
};

/** Of 16 bits of grey the upper 8 are taken, where PIL makes white of what is above 255. */
const UPPER_HALF = ["grey_16.png", "grey_16.tif", "grey_16_white_is_0.tif"];

function fromAnswer([width, height, base64]: Exclude<Answer, string>): RgbImage {
  const binary = atob(base64);
  return { width, height, data: Uint8Array.from(binary, (character) => character.charCodeAt(0)) };
}

permissionTest(
  "decodeImage() gives PIL's pixels to the bit, or refuses with a reason",
  library,
  async () => {
    const answers: Record<string, Answer> = JSON.parse(
      await Deno.readTextFile(join(folder, "pil.json")),
    );
    const grey = fromAnswer(answers["grey.tif"] as Exclude<Answer, string>);
    const counts = { same: 0, refused: 0 };
    for (const [name, answer] of Object.entries(answers)) {
      const path = join(folder, name);
      if (name in REFUSED) {
        await assertRejects(() => decodeImage(path), UserError, REFUSED[name]);
        counts.refused++;
        continue;
      }
      assert(typeof answer !== "string", `${name}: PIL says ${answer}`);
      const image = await decodeImage(path);
      const wanted = UPPER_HALF.includes(name) ? grey : fromAnswer(answer);
      if (name.includes("white_is_0") && wanted === grey) {
        image.data.forEach((v, i, data) => data[i] = 255 - v);
      }
      // Alpha that is multiplied in is taken out with another rounding.
      const allowed = name === "rgba_associated.tif" ? 1 : 0;
      assertEquals([image.width, image.height], [wanted.width, wanted.height], name);
      const worst = image.data.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - wanted.data[i])),
        0,
      );
      assert(worst <= allowed, `${name}: a value is ${worst} off`);
      counts.same++;
    }
    assert(counts.same >= 93 && counts.refused === 8, JSON.stringify(counts));
  },
);
