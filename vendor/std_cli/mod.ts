/**
 * A thin package with the name and the `parseArgs` of `@std/cli`, so that the tasks run where the JSR registry cannot
 * be reached. Left out: prompts, progress bars, Unicode width.
 */
export { type Args, parseArgs, type ParseOptions } from "./parse_args.ts";
