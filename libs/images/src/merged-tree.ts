/**
 * The file tree of an image, merged from its layers in memory. Only names and attributes live here; the
 * content of a file is remembered as "entry n of layer m". That is all a second pass over the layers
 * needs to emit every surviving entry, so nothing of an image is ever unpacked on the host.
 *
 * Layers are applied from the bottom up. Within one layer the whiteouts go first and then the entries,
 * whatever their order in the archive: a whiteout hides lower layers only (OCI image spec, "Image Layer
 * Filesystem Changeset", whiteouts and opaque whiteouts). Of two entries for one path the last wins. An entry below something
 * that is no directory in a lower layer makes a directory in its place, as an overlay shows it.
 *
 * The work for an entry is the number of components of its path, and what it adds is counted, also the directories that no entry
 * names: an archive can make this neither slow nor large beyond the limits of an import.
 */
import { splitPath, unsafe } from "./entry-path.ts";
import { invalidLayer, quoteName } from "./image-error.ts";

/** Owner, permissions and extended attributes of a node; `mtime` in whole seconds. */
export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly xattrs: ReadonlyMap<string, string>;
}

/** A file's content and attributes, shared by all its hard links. */
export interface Inode {
  readonly layer: number;
  /** Position among the entries of its layer. */
  readonly ordinal: number;
  readonly size: number;
  readonly attributes: Attributes;
}

export interface DirectoryNode {
  readonly kind: "directory";
  attributes: Attributes;
  readonly children: Map<string, TreeNode>;
}

type Content =
  | { readonly kind: "file"; readonly inode: Inode }
  | { readonly kind: "symlink"; readonly target: string; readonly attributes: Attributes }
  | { readonly kind: "fifo"; readonly attributes: Attributes };

/** What is no directory also says which layer put it there, counted from 0. */
export type TreeNode = DirectoryNode | (Content & { readonly setBy: number });

/** One change a layer makes. Paths are normalised and never the root, except for `directory`. */
export type LayerChange =
  | { readonly kind: "directory"; readonly path: string; readonly attributes: Attributes }
  | (Content & { readonly path: string })
  | { readonly kind: "hardlink"; readonly path: string; readonly target: string }
  /** An entry that is left out, but takes the place of what was there. */
  | { readonly kind: "omitted"; readonly path: string }
  | { readonly kind: "whiteout"; readonly path: string }
  | { readonly kind: "opaque"; readonly path: string };

type Whiteout = Extract<LayerChange, { kind: "whiteout" | "opaque" }>;
type Omission = Extract<LayerChange, { kind: "omitted" }>;
type Addition = Exclude<LayerChange, Whiteout | Omission>;

const implied: Attributes = { mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: new Map() };

export class MergedTree {
  readonly root: DirectoryNode = { kind: "directory", attributes: implied, children: new Map() };
  readonly #onImplied: (pathBytes: number) => void;
  #layer = -1;

  /** `onImplied` is told of each directory that no entry names, with the length of its path; it may throw. */
  constructor(onImplied: (pathBytes: number) => void = () => undefined) {
    this.#onImplied = onImplied;
  }

  /** Applies one layer on top of those applied so far. Throws `unsafe_path` or `invalid_archive`. */
  applyLayer(changes: readonly LayerChange[]): void {
    this.#layer += 1;
    for (const change of changes) if (isWhiteout(change)) this.#hide(change);
    for (const change of changes) {
      if (change.kind === "omitted") this.#hide({ kind: "whiteout", path: change.path });
      else if (!isWhiteout(change)) this.#add(change);
    }
  }

  /**
   * A whiteout whose way leads through a link or a file hides nothing: such layers exist, where a layer puts
   * a directory in the place of a link and marks it opaque.
   */
  #hide(change: Whiteout): void {
    const { parent, name } = splitPath(change.path);
    const node = this.#find(change.kind === "opaque" ? change.path : parent);
    if (node?.kind !== "directory") return;
    if (change.kind === "opaque") node.children.clear();
    else node.children.delete(name);
  }

  #add(change: Addition): void {
    if (change.path === "") {
      if (change.kind !== "directory") throw invalidLayer("the root of the image is not a directory");
      this.root.attributes = change.attributes;
      return;
    }
    const { parent, name } = splitPath(change.path);
    const siblings = this.#directory(parent, change.path).children;
    const existing = siblings.get(name);
    if (change.kind === "directory" && existing?.kind === "directory")
      existing.attributes = change.attributes;
    else siblings.set(name, this.#node(change));
  }

  #node(change: Addition): TreeNode {
    switch (change.kind) {
      case "directory":
        return { kind: "directory", attributes: change.attributes, children: new Map() };
      case "hardlink": {
        const target = this.#find(change.target);
        if (target === undefined || target.kind === "directory")
          throw invalidLayer(
            `${quoteName(change.path)} is a hard link to ${quoteName(change.target)}, which is not a file before it`,
          );
        return { ...target, setBy: this.#layer };
      }
      case "file":
      case "symlink":
      case "fifo": {
        const { path, ...content } = change;
        return { ...content, setBy: this.#layer };
      }
      default:
        return change satisfies never;
    }
  }

  /** The node at a path, if only directories lead to it. */
  #find(path: string): TreeNode | undefined {
    let node: TreeNode | undefined = this.root;
    for (const name of path === "" ? [] : path.split("/"))
      node = node?.kind === "directory" ? node.children.get(name) : undefined;
    return node;
  }

  /** The directory an entry goes into, made with plain attributes if the layer left it out. */
  #directory(path: string, entry: string): DirectoryNode {
    let directory = this.root;
    let pathBytes = -1;
    for (const name of path === "" ? [] : path.split("/")) {
      pathBytes += 1 + name.length;
      let next = directory.children.get(name);
      if (next?.kind !== "directory") {
        if (next?.setBy === this.#layer) throw notBelow(next.kind, entry);
        this.#onImplied(pathBytes);
        next = { kind: "directory", attributes: implied, children: new Map() };
        directory.children.set(name, next);
      }
      directory = next;
    }
    return directory;
  }
}

function notBelow(kind: Content["kind"], entry: string): Error {
  return kind === "symlink"
    ? unsafe(entry, "passes through a symbolic link of its own layer")
    : invalidLayer(`the entry ${quoteName(entry)} lies below something that is not a directory`);
}

function isWhiteout(change: LayerChange): change is Whiteout {
  return change.kind === "whiteout" || change.kind === "opaque";
}

/** All nodes but the root, with their paths: parents before children, siblings in byte order. */
export function* walk(root: TreeNode): Generator<[path: string, node: TreeNode]> {
  const pending: [string, TreeNode][] = [["", root]];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [path, node] = next;
    if (path !== "") yield next;
    if (node.kind !== "directory") continue;
    for (const name of [...node.children.keys()].sort().reverse()) {
      const child = node.children.get(name);
      if (child !== undefined) pending.push([path === "" ? name : `${path}/${name}`, child]);
    }
  }
}
