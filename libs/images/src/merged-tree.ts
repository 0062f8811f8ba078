/**
 * The file tree of an image, merged from its layers in memory. It has only names and attributes; the content of a file is a
 * reference to "entry n of layer m". The second pass over the layers needs no more to emit the merged entries, so nothing of an
 * image is ever unpacked on the host.
 *
 * Layers are applied from the bottom up. Within a layer, whiteouts are applied before the entries, regardless of their order in
 * the archive: a whiteout hides only lower layers (OCI image spec, "Image Layer Filesystem Changeset", whiteouts and opaque
 * whiteouts). Of two entries for one path the last one is used. An entry below a non-directory of a lower layer replaces that
 * with a directory, as an overlay shows it.
 *
 * The work for an entry is proportional to the number of components of its path, and all nodes count against the limits,
 * including implied directories. So the limits of an import bound its time and memory.
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

/** `setBy` is the index of the layer that added the node, from 0. */
export type TreeNode = DirectoryNode | (Content & { readonly setBy: number });

/** One change by a layer. Paths are normalised, and only a `directory` may be the root. */
export type LayerChange =
  | { readonly kind: "directory"; readonly path: string; readonly attributes: Attributes }
  | (Content & { readonly path: string })
  | { readonly kind: "hardlink"; readonly path: string; readonly target: string }
  /** An entry that is left out but replaces an existing node. */
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

  /** `onImplied` is called for each directory without an entry, with the length of its path. It may throw. */
  constructor(onImplied: (pathBytes: number) => void = () => undefined) {
    this.#onImplied = onImplied;
  }

  /** Applies one layer on top of the earlier ones. Throws `unsafe_path` or `invalid_archive`. */
  applyLayer(changes: readonly LayerChange[]): void {
    this.#layer += 1;
    for (const change of changes) if (isWhiteout(change)) this.#hide(change);
    for (const change of changes) {
      if (change.kind === "omitted") this.#hide({ kind: "whiteout", path: change.path });
      else if (!isWhiteout(change)) this.#add(change);
    }
  }

  /**
   * A whiteout below a link or a file hides nothing. Some layers have one: they replace a link with a directory and mark it opaque.
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

  /** The node at a path, or undefined. Follows no links. */
  #find(path: string): TreeNode | undefined {
    let node: TreeNode | undefined = this.root;
    for (const name of path === "" ? [] : path.split("/"))
      node = node?.kind === "directory" ? node.children.get(name) : undefined;
    return node;
  }

  /** The parent directory of an entry. Created with default attributes if the layer has no entry for it. */
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
    : invalidLayer(`the entry ${quoteName(entry)} is below a node that is not a directory`);
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
