/**
 * The dependencies between the files of a Rust crate, read from their text.
 *
 * A file depends on the file that defines what it names: `use super::stage::StageSpec` leads through the re-export in
 * `stage/mod.rs` to `stage/spec.rs`. So a `mod.rs` with only declarations and re-exports depends on nothing. Test code may name
 * anything, and is ignored.
 */

/** Texts of a crate by their path below `src`. */
export type Sources = ReadonlyMap<string, string>;

/** A file that refers to a definition of another. */
export interface Dependency {
  readonly from: string;
  readonly to: string;
}

type Path = readonly string[];

interface Import {
  readonly name: string;
  readonly path: Path;
  readonly isPublic: boolean;
}

interface Module {
  readonly file: string;
  readonly path: Path;
  /** The text without comments, literals, tests and `use` declarations. */
  readonly body: string;
  readonly imports: readonly Import[];
}

type Modules = ReadonlyMap<string, Module>;

/** Every dependency between two files of the crate, each once. */
export function dependencies(sources: Sources): Dependency[] {
  const files = [...sources].filter(([file]) => !isTest(file)).map(([file, text]) => readModule(file, text));
  const modules: Modules = new Map(files.map((module) => [module.path.join("::"), module]));
  return files.flatMap((module) =>
    [...new Set(namedFiles(module, modules))]
      .filter((to) => to !== module.file)
      .sort()
      .map((to) => ({ from: module.file, to })),
  );
}

function isTest(file: string): boolean {
  return file.endsWith("_test.rs") || file.split("/").includes("tests");
}

function readModule(file: string, text: string): Module {
  const path = file
    .replace(/(?:^|\/)(?:mod|main)\.rs$|\.rs$/, "")
    .split("/")
    .filter((part) => part !== "");
  const code = withoutTests(withoutLiterals(text)).replace(/\bpub\s*\([^)]*\)/g, "pub");
  const imports: Import[] = [];
  const body = code.replace(
    /(\bpub\s+)?\buse\s+([^;]+);/g,
    (_, visibility: string | undefined, tree: string) => {
      imports.push(...expand([], tree).map((found) => ({ ...found, isPublic: visibility !== undefined })));
      return "";
    },
  );
  return { file, path, body, imports };
}

function withoutLiterals(text: string): string {
  return text.replace(
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|\br(#*)"[\s\S]*?"\1|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[^']+|[^'\\])'/g,
    (found) => (found.startsWith("/") ? "" : '""'),
  );
}

/** Drops each item after `#[cfg(test)]`: up to its semicolon, or the end of its braces. */
function withoutTests(code: string): string {
  const mark = "#[cfg(test)]";
  const at = code.indexOf(mark);
  if (at < 0) return code;
  let depth = 0;
  let end = at + mark.length;
  for (; end < code.length; end++) {
    if (code[end] === "{") depth++;
    if (code[end] === "}") depth--;
    if ((code[end] === "}" || code[end] === ";") && depth === 0) break;
  }
  return code.slice(0, at) + withoutTests(code.slice(end + 1));
}

/** The names that a `use` tree imports, each with its path. */
function expand(prefix: Path, tree: string): { name: string; path: Path }[] {
  const group = /^\s*((?:\w+\s*::\s*)*)\{([\s\S]*)\}\s*$/.exec(tree);
  if (group !== null) {
    const inner = [...prefix, ...segments(group[1] ?? "")];
    return splitList(group[2] ?? "").flatMap((item) => expand(inner, item));
  }
  const [written = "", alias] = tree.trim().split(/\s+as\s+/);
  if (written === "") return [];
  const path = [...prefix, ...segments(written)].filter((part, at) => part !== "self" || at === 0);
  return [{ name: alias ?? path.at(-1) ?? "", path }];
}

function splitList(list: string): string[] {
  const items = [""];
  let depth = 0;
  for (const letter of list) {
    if (letter === "{") depth++;
    if (letter === "}") depth--;
    if (letter === "," && depth === 0) items.push("");
    else items.push(`${items.pop() ?? ""}${letter}`);
  }
  return items;
}

function segments(path: string): string[] {
  return path
    .split("::")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** The files that a module names, by its imports and by paths in its body. */
function namedFiles(module: Module, modules: Modules): string[] {
  const used = module.imports.filter(
    ({ name, isPublic }) => !isPublic || new RegExp(`\\b${name}\\b`).test(module.body),
  );
  const inBody = [...module.body.matchAll(/(?<![\w:.])\w+(?:\s*::\s*\w+)+/g)].map(([path]) => segments(path));
  return [...used.map(({ path }) => path), ...inBody]
    .map((path) => definingFile(absolute(path, module, modules), modules))
    .filter((file) => file !== undefined);
}

/** A path relative to the crate's root, or undefined if it leads out of the crate. */
function absolute(path: Path, module: Module, modules: Modules): Path | undefined {
  const [first = "", ...rest] = path;
  if (first === "crate") return rest;
  if (first === "self") return [...module.path, ...rest];
  if (first === "super") {
    const parent = module.path.slice(0, -1);
    return rest[0] === "super" ? absolute(rest, { ...module, path: parent }, modules) : [...parent, ...rest];
  }
  if (modules.has([...module.path, first].join("::"))) return [...module.path, ...path];
  const imported = module.imports.find(({ name, path }) => name === first && path[0] !== first);
  const target = imported === undefined ? undefined : absolute(imported.path, module, modules);
  return target === undefined ? undefined : [...target, ...rest];
}

/** The file with the definition, found through modules and their re-exports. */
function definingFile(path: Path | undefined, modules: Modules): string | undefined {
  if (path === undefined) return undefined;
  let depth = 0;
  while (depth < path.length && modules.has(path.slice(0, depth + 1).join("::"))) depth++;
  const module = modules.get(path.slice(0, depth).join("::"));
  const imported = module?.imports.find(({ name }) => name === path[depth]);
  if (module === undefined || imported === undefined) return module?.file;
  if (imported.path[0] === imported.name) return module.file;
  const target = absolute(imported.path, module, modules);
  return target === undefined ? module.file : definingFile([...target, ...path.slice(depth + 1)], modules);
}
