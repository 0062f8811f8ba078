/**
 * The kernel and initramfs that VMs boot, as this node's own copies.
 *
 * They are copied from the guest build into the state directory, because QEMU's user may not be able to read a checkout in a
 * home directory, and because a build must not change what the next VM boots. A copy is named by its digest and verified while
 * it is copied.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Fields } from "../store/fields.ts";

/** What every VM of this node boots. */
export type GuestFiles = {
  readonly kernel: string;
  readonly initramfs: string;
  /** Release of the kernel, as `uname -r` prints it. */
  readonly kernelRelease: string;
};

/**
 * Copies the files that the manifest of `guestDir` names into `<stateDir>/guest` unless they exist, and removes older copies.
 * Throws an Error that says how to build a guest if there is none, or which file does not match the manifest.
 */
export async function installGuestFiles(guestDir: string, stateDir: string): Promise<GuestFiles> {
  const manifest = await readManifest(guestDir);
  const target = join(stateDir, "guest");
  await mkdir(target, { recursive: true, mode: 0o711 });
  await chmod(target, 0o711);
  const install = async (key: "kernel" | "initramfs") => {
    const name = fileName(manifest.string(key));
    const digest = hexDigest(manifest.object("files").object(name).string("sha256"));
    const copy = join(target, `${key}-${digest}`);
    if ((await stat(copy).catch(() => undefined)) === undefined)
      await copyChecked(join(guestDir, name), copy, digest);
    return copy;
  };
  const [kernel, initramfs] = [await install("kernel"), await install("initramfs")];
  const kept = new Set([kernel, initramfs]);
  for (const entry of await readdir(target)) {
    if (!kept.has(join(target, entry))) await rm(join(target, entry), { force: true });
  }
  return { kernel, initramfs, kernelRelease: manifest.string("kernelRelease") };
}

async function readManifest(guestDir: string): Promise<Fields> {
  try {
    return Fields.parse(await readFile(join(guestDir, "manifest.json"), "utf8"));
  } catch (cause) {
    const hint = "build it with deploy/guest/build.sh or set PADDOCK_GUEST_DIR";
    throw new Error(`${guestDir} has no guest to boot; ${hint}`, { cause });
  }
}

async function copyChecked(from: string, to: string, digest: string): Promise<void> {
  const unfinished = `${to}.new`;
  await copyFile(from, unfinished);
  await chmod(unfinished, 0o444);
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(unfinished, { highWaterMark: 1 << 20 })) hash.update(chunk);
  if (hash.digest("hex") !== digest) {
    await rm(unfinished, { force: true });
    throw new Error(`${from} does not match its manifest; build the guest again with deploy/guest/build.sh`);
  }
  await rename(unfinished, to);
}

function hexDigest(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Error(`${JSON.stringify(text)} is not a SHA-256`);
  return text;
}

function fileName(name: string): string {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9._-]*$/.test(name))
    throw new Error(`${JSON.stringify(name)} is not a file name`);
  return name;
}
