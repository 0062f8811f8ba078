/** Looks at files here and in containers, without following a link at the end of a path. */
import { lstatSync, readlinkSync, type Stats } from "node:fs";
import { basename, resolve } from "node:path";
import type { FileAddress } from "@paddock/client";
import { hasReason } from "@paddock/domain";
import { FileType } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import { findContainer } from "../client/targets.ts";
import type { CommandRun } from "../command-run.ts";
import { printable } from "../output/printable.ts";
import type { FileKind, Look } from "./copy-plan.ts";
import { codeOf } from "./open-directory.ts";

/** A container, and how it is named to the user. */
export type ContainerPlace = Omit<FileAddress, "path"> & { readonly label: string };

export async function containerPlace(run: CommandRun, target: string): Promise<ContainerPlace> {
  const { sandboxId, containerId } = await findContainer(run, target);
  return { sandboxId, containerId, label: target };
}

const REMOTE_KINDS: Readonly<Record<FileType, FileKind>> = {
  [FileType.UNSPECIFIED]: "other",
  [FileType.REGULAR]: "file",
  [FileType.DIRECTORY]: "directory",
  [FileType.SYMLINK]: "symlink",
  [FileType.OTHER]: "other",
};

export const lookInside =
  (run: CommandRun, { sandboxId, containerId, label }: ContainerPlace): Look =>
  async (path) => {
    try {
      const { file } = await run.api.files.statFile(
        { sandboxId, containerId, path, follow: false },
        run.callOptions(),
      );
      if (!file) return undefined;
      return { kind: REMOTE_KINDS[file.type] ?? "other", name: file.name, linkTarget: file.linkTarget };
    } catch (error) {
      if (hasReason(error, "FILE_NOT_FOUND")) return undefined;
      throw run.explain(error, { what: `look at ${label}:${printable(path)}` });
    }
  };

export const lookHere: Look = async (path) => {
  try {
    const stats = lstatSync(path);
    const linkTarget = stats.isSymbolicLink() ? readlinkSync(path) : "";
    return { kind: kindOf(stats), name: basename(resolve(path)), linkTarget };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new CliError(
      `cannot look at ${printable(path)}: ${error instanceof Error ? error.message : error}`,
    );
  }
};

function kindOf(stats: Stats): FileKind {
  if (stats.isSymbolicLink()) return "symlink";
  if (stats.isDirectory()) return "directory";
  return stats.isFile() ? "file" : "other";
}
