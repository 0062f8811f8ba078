import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type LayerChange, MergedTree, walk } from "./merged-tree.ts";
import {
  archiveOf,
  directory,
  type Entry,
  file,
  hardlink,
  ociFiles,
  stream,
  symlink,
  tarOf,
} from "./testing/build-archive.ts";
import { catSquashfs, listSquashfs } from "./testing/inspect-squashfs.ts";
import { temporaryStore } from "./testing/temporary-store.ts";

/** A change as the generator makes it; one that would make the layer invalid is left out. */
interface Change {
  readonly kind: "directory" | "file" | "symlink" | "hardlink" | "whiteout" | "opaque";
  readonly path: string;
  readonly target: string;
  readonly content: string;
}

/** A tree as a flat map from path to "d", "l" or a file's content: a simple model to compare with. */
type Flat = Map<string, string>;

const dirname = (path: string) => path.split("/").slice(0, -1).join("/");

function removeBelow(tree: Flat, path: string): void {
  for (const key of [...tree.keys()]) if (path === "" || key.startsWith(`${path}/`)) tree.delete(key);
}

/** Whether all parents of a path are directories or do not exist yet. */
function reachable(tree: Flat, path: string): boolean {
  const parent = dirname(path);
  return parent === "" || ((tree.get(parent) ?? "d") === "d" && reachable(tree, parent));
}

function makeParents(tree: Flat, path: string): void {
  const parent = dirname(path);
  if (parent === "" || tree.has(parent)) return;
  makeParents(tree, parent);
  tree.set(parent, "d");
}

/** Applies a layer to the model, whiteouts first; returns the changes that make a valid layer. */
function applyToModel(tree: Flat, layer: readonly Change[]): Change[] {
  const hides = layer.filter(({ kind }) => kind === "whiteout" || kind === "opaque");
  for (const { kind, path } of hides.filter(({ path }) => reachable(tree, path))) {
    if (kind === "whiteout" || tree.get(path) === "d") removeBelow(tree, path);
    if (kind === "whiteout") tree.delete(path);
  }
  const touched = new Set<string>();
  const adds = layer.filter((change) => !hides.includes(change) && add(tree, touched, change));
  return [...hides, ...adds];
}

function add(tree: Flat, touched: Set<string>, { kind, path, target, content }: Change): boolean {
  const linked = kind === "hardlink" && reachable(tree, target) ? tree.get(target) : undefined;
  if (kind === "hardlink" && (linked === undefined || linked === "d")) return false;
  if ([...touched].some((other) => other === path || other.startsWith(`${path}/`))) return false;
  if (!reachable(tree, path)) return false;
  touched.add(path);
  makeParents(tree, path);
  if (kind !== "directory" || tree.get(path) !== "d") removeBelow(tree, path);
  tree.set(path, kind === "directory" ? "d" : kind === "symlink" ? "l" : (linked ?? `f${content}`));
  return true;
}

const path = fc
  .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));
const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom("directory", "file", "file", "symlink", "hardlink", "whiteout", "opaque"),
  path,
  target: path,
  content: fc.string({ unit: fc.constantFrom("x", "y", "z"), maxLength: 4 }),
});
const stack = fc.array(fc.array(change, { maxLength: 12 }), { minLength: 1, maxLength: 5 });

const attributes = { mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: new Map<string, string>() };

test("merging any layers gives the same tree as the model", () => {
  let nodes = 0;
  fc.assert(
    fc.property(stack, (layers) => {
      const model: Flat = new Map();
      const tree = new MergedTree();
      const contents: string[] = [];
      for (const [layer, changes] of layers.entries()) {
        const valid = applyToModel(model, changes);
        tree.applyLayer(
          valid.map((one): LayerChange => {
            const ordinal = contents.push(one.content) - 1;
            const inode = { layer, ordinal, size: one.content.length, attributes };
            return { ...one, attributes, inode };
          }),
        );
      }
      const merged = [...walk(tree.root)].map(([where, node]): [string, string] => [
        where,
        node.kind === "file" ? `f${contents[node.inode.ordinal]}` : node.kind.slice(0, 1).replace("s", "l"),
      ]);
      nodes += merged.length;
      assert.deepEqual(new Map(merged), new Map([...model].sort()));
    }),
    { numRuns: 2000 },
  );
  assert.ok(nodes > 4000, "the generated layers leave too few nodes");
});

test("the squashfs of any layers equals the model, for any order of whiteouts in the archives", async (t) => {
  const { store } = await temporaryStore(t);
  await fc.assert(
    fc.asyncProperty(stack, fc.boolean(), async (layers, whiteoutsLast) => {
      const model: Flat = new Map();
      const tars: Buffer[] = [];
      for (const changes of layers) {
        const entries = applyToModel(model, changes).map(toEntry);
        const unique = [...new Map(entries.map((entry) => [entry.name, entry])).values()];
        const isHide = ({ name }: Entry) => name.includes(".wh.");
        const hides = unique.filter(isHide);
        const rest = unique.filter((entry) => !isHide(entry));
        tars.push(await tarOf(whiteoutsLast ? [...rest, ...hides] : [...hides, ...rest]));
      }
      const record = await store.importStream(stream(await archiveOf(ociFiles({ layers: tars }))));
      const blob = store.blobPath(record);
      const lines = (await listSquashfs(blob)).map((line) => line.replace(/ -> .*/, "").split(" "));
      const kinds = new Map(lines.map(([mode = "", , name = ""]) => [name, mode[0]?.replace("-", "f")]));
      const expected = new Map([...model].map(([name, value]) => [name, value[0]]));
      assert.deepEqual(new Map([...kinds].sort()), new Map([...expected].sort()));
      for (const [name, value] of model)
        if (value.startsWith("f")) assert.equal(await catSquashfs(blob, name), value.slice(1));
    }),
    { numRuns: 25 },
  );
});

function toEntry({ kind, path: name, target, content }: Change): Entry {
  switch (kind) {
    case "directory":
      return directory(name);
    case "file":
      return file(name, content);
    case "symlink":
      return symlink(name, "/anywhere");
    case "hardlink":
      return hardlink(name, target);
    case "whiteout":
      return file(`${[...name.split("/").slice(0, -1), ".wh."].join("/")}${name.split("/").at(-1)}`, "");
    case "opaque":
      return file(`${name}/.wh..wh..opq`, "");
    default:
      return kind satisfies never;
  }
}
