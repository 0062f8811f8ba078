/** The rules for dependencies between files of a Rust crate: no circles, and one direction between modules. */

import type { Dependency } from "./rust-modules.ts";

/** The files of each circle, sorted. */
export function circles(dependencies: readonly Dependency[]): string[][] {
  const reach = new Map<string, ReadonlySet<string>>();
  for (const { from } of dependencies) reach.set(from, reachable(from, dependencies));
  const inCircle = [...reach.keys()].filter((file) => reach.get(file)?.has(file));
  const groups = new Map<string, string[]>();
  for (const file of inCircle) {
    const group = inCircle
      .filter((other) => reach.get(file)?.has(other) && reach.get(other)?.has(file))
      .sort();
    groups.set(group.join(), group);
  }
  return [...groups.values()];
}

function reachable(start: string, dependencies: readonly Dependency[]): Set<string> {
  const found = new Set<string>();
  const ahead = [start];
  for (let file = ahead.pop(); file !== undefined; file = ahead.pop()) {
    for (const { from, to } of dependencies) {
      if (from !== file || found.has(to)) continue;
      found.add(to);
      ahead.push(to);
    }
  }
  return found;
}

/** The modules of a directory from the top: its files and directories, each of which may use only those after it. */
export interface Order {
  /** The directory, with a slash at its end unless it is the root. */
  readonly directory: string;
  readonly rooms: readonly string[];
}

/** Dependencies against the order, and modules that have no place in it. */
export function orderFaults(dependencies: readonly Dependency[], { directory, rooms }: Order): string[] {
  const roomOf = (file: string): string =>
    file.slice(directory.length).replace(/\/.*$/, "").replace(/\.rs$/, "");
  const place = (file: string): number => rooms.indexOf(roomOf(file));
  const inside = dependencies.filter(
    ({ from, to }) => from.startsWith(directory) && to.startsWith(directory) && roomOf(from) !== roomOf(to),
  );
  const unplaced = new Set(inside.flatMap(({ from, to }) => [from, to]).filter((file) => place(file) < 0));
  return [
    ...inside
      .filter(({ from, to }) => place(to) >= 0 && place(from) > place(to))
      .map(({ from, to }) => `${from} uses ${to}`),
    ...[...unplaced].map((file) => `${file} has no place in the order`),
  ];
}
