/**
 * The names of ImageNet's 1,000 classes. A class of ILSVRC 2012 (https://image-net.org/challenges/LSVRC/2012) is a
 * synset of WordNet; its name is the synset's first word, in the list of TensorFlow.js's MobileNet 0.0.1
 * (https://github.com/tensorflow/tfjs-models). Three are torchvision's instead, which tells those of one name apart:
 * 107 jellyfish, 134 crane bird (517 is the machine), 639 maillot tank suit (638 is the other maillot).
 *
 * @module
 */
import names from "./imagenet_classes.txt" with { type: "text" };

/** The names in the order of the networks' outputs, `[1000]`, as torchvision spells them. */
export const IMAGENET_CLASSES: readonly string[] = names.trimEnd().split("\n");
