/**
 * Where this command line is installed. The sources are in `src`, and the bundle is in `dist` beside it: paths must be the same from
 * this file and from the bundle.
 */
import { join, resolve } from "node:path";

export const REPOSITORY = resolve(import.meta.dirname, "../../..");

/** The file that starts this command line. */
export const MAIN = join(import.meta.dirname, import.meta.filename.endsWith(".ts") ? "main.ts" : "main.js");
