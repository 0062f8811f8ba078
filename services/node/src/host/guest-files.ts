import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Fields } from "../store/fields.ts";

/** What every VM of this node boots. */
export type GuestFiles = {
  readonly kernel: string;
  readonly initramfs: string;
  /** Release of the kernel, as `uname -r` tells it. */
  readonly kernelRelease: string;
};

/** Reads the manifest that the guest build wrote. Throws an Error that says how to make one. */
export async function readGuestFiles(dir: string): Promise<GuestFiles> {
  try {
    const manifest = Fields.parse(await readFile(join(dir, "manifest.json"), "utf8"));
    return {
      kernel: join(dir, fileName(manifest.string("kernel"))),
      initramfs: join(dir, fileName(manifest.string("initramfs"))),
      kernelRelease: manifest.string("kernelRelease"),
    };
  } catch (cause) {
    throw new Error(
      `${dir} holds no guest to boot; build it with deploy/guest/build.sh or set PADDOCK_GUEST_DIR`,
      {
        cause,
      },
    );
  }
}

function fileName(name: string): string {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9._-]*$/.test(name)) throw new Error(`${JSON.stringify(name)} is no file name`);
  return name;
}
