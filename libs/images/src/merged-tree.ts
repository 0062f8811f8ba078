/**
 * The file tree of an image, merged from its layers in memory. Only names and attributes live here; the
 * content of a file is remembered as "entry n of layer m". That is all a second pass over the layers
 * needs to emit every surviving entry, so nothing of an image is ever unpacked on the host.
 *
 * Layers are applied from the bottom up. Within one layer the whiteouts go first and then the entries,
 * whatever their order in the archive: a whiteout hides lower layers only (OCI image spec, "Image Layer
 * Filesystem Changeset", whiteouts and opaque whiteouts).
 */
import { splitPath, unsafe } from "./entry-path.ts";
import { invalidArchive, quoteName } from "./image-error.ts";

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

export type TreeNode =
  | DirectoryNode
  | { readonly kind: "file"; readonly inode: Inode }
  | { readonly kind: "symlink"; readonly target: string; readonly attributes: Attributes }
  | { readonly kind: "fifo"; readonly attributes: Attributes };

/** One change a layer makes. Paths are normalised and never the root, except for `directory`. */
export type LayerChange =
  | { readonly kind: "directory"; readonly path: string; readonly attributes: Attributes }
  | { readonly kind: "file"; readonly path: string; readonly inode: Inode }
  | {
      readonly kind: "symlink";
      readonly path: string;
      readonly target: string;
      readonly attributes: Attributes;
    }
  | { readonly kind: "fifo"; readonly path: string; readonly attributes: Attributes }
  | { readonly kind: "hardlink"; readonly path: string; readonly target: string }
  | { readonly kind: "whiteout"; readonly path: string }
  | { readonly kind: "opaque"; readonly path: string };

type Whiteout = Extract<LayerChange, { kind: "whiteout" | "opaque" }>;
type Addition = Exclude<LayerChange, Whiteout>;

/** What a layer has done with a path so far: named it as one kind, or only written something below it. */
type Written = Map<string, "directory" | "leaf" | "parent">;

const implied: Attributes = { mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: new Map() };

export class MergedTree {
  readonly root: DirectoryNode = { kind: "directory", attributes: implied, children: new Map() };

  /** Applies one layer on top of those applied so far. Throws `unsafe_path` or `invalid_archive`. */
  applyLayer(changes: readonly LayerChange[]): void {
    for (const change of changes) if (isWhiteout(change)) this.#hide(change);
    const written: Written = new Map();
    for (const change of changes) if (!isWhiteout(change)) this.#add(change, written);
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

  #add(change: Addition, written: Written): void {
    note(change, written);
    if (change.path === "") {
      if (change.kind !== "directory") throw invalidArchive("the root of the image is not a directory");
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
          throw invalidArchive(
            `${quoteName(change.path)} is a hard link to ${quoteName(change.target)}, which is not a file before it`,
          );
        return target;
      }
      case "file":
      case "symlink":
      case "fifo": {
        const { path, ...node } = change;
        return node;
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
    for (const name of path === "" ? [] : path.split("/")) {
      let next = directory.children.get(name);
      if (next === undefined) {
        next = { kind: "directory", attributes: implied, children: new Map() };
        directory.children.set(name, next);
      }
      if (next.kind === "symlink") throw unsafe(entry, "passes through a symbolic link");
      if (next.kind !== "directory")
        throw invalidArchive(`the entry ${quoteName(entry)} lies below something that is not a directory`);
      directory = next;
    }
    return directory;
  }
}

/** Refuses a layer that says two different things about one path; which would win is anyone's guess. */
function note(change: Addition, written: Written): void {
  const before = written.get(change.path);
  const isDirectory = change.kind === "directory";
  if (before === "leaf" || (before !== undefined && !isDirectory))
    throw invalidArchive(`the entry ${quoteName(change.path)} appears twice in one layer`);
  written.set(change.path, isDirectory ? "directory" : "leaf");
  let { parent } = splitPath(change.path);
  while (parent !== "" && !written.has(parent)) {
    written.set(parent, "parent");
    ({ parent } = splitPath(parent));
  }
}

function isWhiteout(change: LayerChange): change is Whiteout {
  return change.kind === "whiteout" || change.kind === "opaque";
}
