/** Answers of a trained classifier for a sentence typed in, or for a file of them. */
import { writeWhole } from "../../data/files/file.ts";
import { readUnlabeled, tokenize } from "../../data/text/sentences.ts";
import { UNK, type Vocabulary } from "../../data/text/vocabulary.ts";
import { loadClassifier } from "../../models/sentences/saved_classifier.ts";
import type { SentenceClassifier } from "../../models/sentences/sentence_classifier.ts";
import { sentenceLogits } from "../../models/sentences/sentence_training.ts";
import { defineFlags, text, UsageError } from "../lib/flags.ts";
import { chance, grouped } from "../lib/format.ts";
import { openTaskGpu, parseGpuFlags } from "../lib/gpu.ts";
import { modelFile } from "../lib/model_file.ts";
import { checkSentences, describeUnlabeled, encode, type Unlabeled } from "./data.ts";
import { meaning, probability } from "./report.ts";

const FLAGS = defineFlags({
  model: text({
    placeholder: "RUN",
    help: "The folder of a text run, or its model.safetensors",
  }),
  text: text({ optional: true, help: "A sentence as one types it" }),
  file: text({
    optional: true,
    placeholder: "FILE",
    help: "A file with a sentence a line, its words between spaces, as in the data of the run",
  }),
  out: text({
    optional: true,
    placeholder: "FILE",
    help: "Write the answers to --file here, a 0 or 1 a line; without it they are printed",
  }),
});

/** What is to be answered, read and checked before the model is loaded. */
async function readQuestion(
  given: { text: string | undefined; file: string | undefined; out: string | undefined },
): Promise<{ words: string[] } | { file: Unlabeled }> {
  if ((given.text === undefined) === (given.file === undefined)) {
    throw new UsageError(
      "Either --text, a sentence to answer, or --file, a file of them, must be given",
    );
  }
  if (given.file !== undefined) {
    return { file: { path: given.file, ...await readUnlabeled(given.file) } };
  }
  if (given.out !== undefined) {
    throw new UsageError("Flag --out is for the answers to --file, and that to --text is printed");
  }
  const words = tokenize(given.text!);
  if (words.length === 0) throw new UsageError(`Flag --text holds no word: "${given.text}"`);
  return { words };
}

/** Whether two paths lead to one file, by links too. */
async function isSameFile(one: string, other: string): Promise<boolean> {
  try {
    return await Deno.realPath(one) === await Deno.realPath(other) ||
      await isSameInode(one, other);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function isSameInode(one: string, other: string): Promise<boolean> {
  const [a, b] = [await Deno.stat(one), await Deno.stat(other)];
  return a.ino !== null && a.ino === b.ino && a.dev === b.dev;
}

/** Refuse to write the answers over what is read. */
async function checkOut(out: string, file: string, model: string): Promise<void> {
  if (await isSameFile(out, file)) {
    throw new UsageError(`Flag --out, ${out}, is the file of --file: its sentences would be lost`);
  }
  if (await isSameFile(out, model)) {
    throw new UsageError(`Flag --out, ${out}, is the model's file: the model would be lost`);
  }
  if (await isFolder(out)) throw new UsageError(`Flag --out must name a file: ${out} is a folder`);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function answerText(
  classifier: SentenceClassifier,
  vocabulary: Vocabulary,
  words: string[],
): Promise<void> {
  const isUnknown = (word: string) => vocabulary.index(word) === UNK;
  const shown = words.map((word) => isUnknown(word) ? `[${word}]` : word);
  const unknown = words.filter(isUnknown).length;
  const [logit] = await sentenceLogits(classifier, encode([words], vocabulary));
  const one = probability(logit);
  const label = logit > 0 ? 1 : 0;
  const mark = unknown > 0
    ? ` (the model does not know ${unknown} of ${words.length} words, in brackets)`
    : "";
  console.log(`read as: ${shown.join(" ")}${mark}`);
  console.log(`${meaning(label)}, probability ${chance(label === 1 ? one : 1 - one)}`);
}

async function answerFile(
  classifier: SentenceClassifier,
  vocabulary: Vocabulary,
  file: Unlabeled,
  out: string | undefined,
): Promise<void> {
  const logits = await sentenceLogits(classifier, encode(file.sentences, vocabulary));
  const answers = Array.from(logits, (logit) => logit > 0 ? "1" : "0");
  const ones = answers.filter((answer) => answer === "1").length;
  const summary = `${grouped(answers.length)} lines of ${file.path} answered, ` +
    `${grouped(ones)} positive (1); ${describeUnlabeled(file, vocabulary)}`;
  if (out === undefined) {
    console.log(answers.join("\n"));
    console.error(summary); // the answers alone go to stdout
    return;
  }
  await writeWhole(out, new TextEncoder().encode(`${answers.join("\n")}\n`));
  console.log(`${summary}; the answers are in ${out}`);
}

/** The whole task `text-predict`. */
export async function predictTask(): Promise<void> {
  const given = parseGpuFlags(FLAGS, Deno.args, {
    task: "text-predict",
    summary: "Let a trained sentence classifier answer: whether a sentence is positive (1) or " +
      "negative (0), and how probable that is.",
    examples: [
      'deno task text-predict --model=runs/text-lstm/2026-01-31T09-05-00 --text="Not bad at all!"',
      "deno task text-predict --model=runs/text-lstm/2026-01-31T09-05-00 --file=sentences/unlabelled.txt --out=answers.txt",
    ],
  });
  const question = await readQuestion(given);
  const path = await modelFile(given.model, "text-lstm");
  if (given.out !== undefined) await checkOut(given.out, given.file!, path);
  using gpu = await openTaskGpu();
  const loaded = await loadClassifier(gpu, path);
  using classifier = loaded.classifier;
  const asked = "words" in question
    ? { path: "--text", sentences: [question.words] }
    : question.file;
  checkSentences(classifier, asked.path, asked.sentences);
  if ("words" in question) return await answerText(classifier, loaded.vocabulary, question.words);
  await answerFile(classifier, loaded.vocabulary, question.file, given.out);
}
