/** How often the loops of a kernel may turn. */

/**
 * The most turns that all loops of an invocation may take together, nested ones and one after the other, with one
 * more for every time that a loop is entered: Mesa's software driver ends them all beyond, without an error.
 * A kernel with more to do shares it out among invocations, or dispatches.
 */
export const MOST_TURNS = 65_536;
