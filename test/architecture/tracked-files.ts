import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** The directory of the checkout. */
export const repositoryRoot = resolve(import.meta.dirname, "../..");

/** A file that is in the repository, or would be after the next `git add`. */
export interface TrackedFile {
  readonly path: string;
  read(): string;
}

/** Every file that git tracks or would track (neither ignored nor deleted), relative to the root. */
export function trackedFiles(): TrackedFile[] {
  // The checkout may belong to another user.
  const ours = ["-c", `safe.directory=${repositoryRoot}`];
  const listing = execFileSync(
    "git",
    [...ours, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    { cwd: repositoryRoot, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 },
  );
  return [...new Set(listing.split("\0"))]
    .filter((path) => path !== "" && existsSync(join(repositoryRoot, path)))
    .map((path) => ({ path, read: () => readFileSync(join(repositoryRoot, path), "utf8") }));
}
