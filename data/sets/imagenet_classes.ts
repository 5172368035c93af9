/**
 * The names of ImageNet's 1,000 classes, from the list in TensorFlow.js's MobileNet package, which is loaded
 * at the first use. Of its releases the first has by far the smallest packages behind it; only the list is
 * run.
 *
 * @module
 */

/** Where torchvision's name is not the first of the synonyms in the list. */
const OTHER_NAMES: Readonly<Record<number, string>> = {
  107: "jellyfish",
  134: "crane bird", // the machine, 517, is the other crane
  639: "maillot tank suit", // 638 is the other maillot
};

/**
 * The names of ImageNet's classes in the order of the ILSVRC 2012 networks' outputs, `[1000]`, as
 * torchvision spells them.
 *
 * ```ts ignore
 * const classes = await imagenetClasses();
 * console.log(classes[309], classes[310]); // bee ant
 * ```
 */
export async function imagenetClasses(): Promise<string[]> {
  const { IMAGENET_CLASSES } = await import(
    "npm:@tensorflow-models/mobilenet@0.0.1/dist/imagenet_classes.js"
  );
  return Array.from(
    { length: 1000 },
    (_, i) => OTHER_NAMES[i] ?? IMAGENET_CLASSES[i].split(", ")[0],
  );
}
