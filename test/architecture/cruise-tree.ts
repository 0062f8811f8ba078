/**
 * Runs the import rules on a directory with the layout of this repository, and returns what they report.
 *
 * A planted tree has only the files that break a rule. It is copied to a temporary directory, together with the package.json
 * files and links in node_modules that resolve the names in it.
 */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { cruise } from "dependency-cruiser";
import extractDepcruiseConfig from "dependency-cruiser/config-utl/extract-depcruise-config";
import { repositoryRoot } from "./tracked-files.ts";

/** One import that a rule forbids. */
export interface BrokenArrow {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
}

const config = await extractDepcruiseConfig(join(repositoryRoot, ".dependency-cruiser.mjs"));

/** The names of the rules, in the order they are written. */
export const ruleNames: readonly string[] = (config.forbidden ?? []).map((rule) => rule.name ?? "unnamed");

/** Checks `directory`. Changes the working directory while it runs, so calls must not overlap. */
export async function brokenArrows(directory: string): Promise<BrokenArrow[]> {
  const before = process.cwd();
  process.chdir(directory);
  try {
    const tops = ["libs", "services", "deploy", "test"].filter((top) => existsSync(top));
    const { output } = await cruise(
      tops,
      { ruleSet: config, validate: true, baseDir: directory },
      { ...config.options?.enhancedResolveOptions },
    );
    if (typeof output === "string") throw new Error(`expected a result, the cruiser printed: ${output}`);
    return output.summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to }));
  } finally {
    process.chdir(before);
  }
}

/** Makes a workspace with the planted tree `source` in the empty directory `target`. */
export function layOut(source: string, target: string): void {
  cpSync(source, target, { recursive: true });
  cpSync(join(repositoryRoot, "package.json"), join(target, "package.json"));
  const modules = join(target, "node_modules");
  mkdirSync(join(modules, "@paddock"), { recursive: true });
  for (const name of readdirSync(join(repositoryRoot, "node_modules"))) {
    if (name.startsWith(".") || name === "@paddock") continue;
    symlinkSync(join(repositoryRoot, "node_modules", name), join(modules, name));
  }
  for (const workspace of workspacesOf(target)) {
    const manifest = readFileSync(join(repositoryRoot, workspace, "package.json"), "utf8");
    cpSync(join(repositoryRoot, workspace, "package.json"), join(target, workspace, "package.json"));
    const name = /"name": "(@paddock\/[^"]+)"/.exec(manifest)?.[1];
    if (name === undefined) throw new Error(`${workspace}/package.json has no name`);
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(target, workspace), join(modules, name));
  }
}

function workspacesOf(tree: string): string[] {
  return ["libs", "services"]
    .filter((top) => existsSync(join(tree, top)))
    .flatMap((top) => readdirSync(join(tree, top)).map((name) => join(top, name)));
}
