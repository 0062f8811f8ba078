/**
 * Reads the version of QEMU and checks whether it is supported.
 *
 * CVE-2024-3446: a double free in virtio-serial (and virtio-gpu, virtio-crypto) lets root in a guest attack QEMU. Paddock uses
 * virtio-serial for every guest, so a QEMU without the fix is refused. It is fixed upstream in 7.2.11, 8.2.3 and 9.0.0, and in
 * Debian 12 by 1:7.2+dfsg-7+deb12u6, which is 7.2.11 (Debian changelog).
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { QemuError } from "./qemu-error.ts";

export interface QemuVersion {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
  /** Package version, when the distribution shows it, for example `1:7.2+dfsg-7+deb12u18+b3`. */
  readonly packaged?: string;
}

/** Reads the first line of `qemu-system-x86_64 --version`. Throws `unsupported-qemu` if it has no version. */
export function parseQemuVersion(output: string): QemuVersion {
  const match = /^QEMU emulator version (\d+)\.(\d+)\.(\d+)(?: \(([^)]*)\))?/.exec(output);
  if (match === null) {
    const line = JSON.stringify(output.slice(0, 80));
    throw new QemuError("unsupported-qemu", `cannot read a QEMU version from ${line}`);
  }
  const [, major, minor, micro, suffix] = match;
  const numbers = { major: Number(major), minor: Number(minor), micro: Number(micro) };
  const packaged = suffix === undefined ? undefined : /^Debian (\S+)$/.exec(suffix)?.[1];
  return packaged === undefined ? numbers : { ...numbers, packaged };
}

/** Stable series with the fix, and the first micro version that has it. */
const FIXED_IN = [
  { major: 7, minor: 2, micro: 11 },
  { major: 8, minor: 2, micro: 3 },
] as const;

/** Oldest Debian 12 update with the fix; its `--version` prints 7.2.11 or, in some rebuilds, less. */
const FIXED_DEB12_UPDATE = 6;

/** Why the version is not supported, or undefined when it is. */
export function refusalOf(version: QemuVersion): string | undefined {
  const { major, minor, micro, packaged } = version;
  const text = `QEMU ${major}.${minor}.${micro}${packaged === undefined ? "" : ` (${packaged})`}`;
  if (major >= 9) return undefined;
  const update = /\+deb12u(\d+)/.exec(packaged ?? "")?.[1];
  if (update !== undefined && Number(update) >= FIXED_DEB12_UPDATE) return undefined;
  if (FIXED_IN.some((fix) => fix.major === major && fix.minor === minor && micro >= fix.micro))
    return undefined;
  if (major < 7 || (major === 7 && minor < 2)) return `${text} is too old: 7.2.11 or later is needed`;
  return `${text} has CVE-2024-3446 (virtio-serial); update to 7.2.11, 8.2.3, 9.0 or Debian's deb12u6`;
}

/** Runs the binary. Throws `unsupported-qemu` when it cannot be run or its version is not supported. */
export async function checkQemu(binary: string, signal?: AbortSignal): Promise<QemuVersion> {
  const options = { timeout: 10_000, maxBuffer: 65_536, ...(signal === undefined ? {} : { signal }) };
  const output = await promisify(execFile)(binary, ["--version"], options).catch((cause: unknown) => {
    const hint = "install it (Debian: apt-get install qemu-system-x86) or set its path";
    throw new QemuError("unsupported-qemu", `cannot run ${binary}; ${hint}`, { cause });
  });
  const version = parseQemuVersion(output.stdout);
  const refusal = refusalOf(version);
  if (refusal !== undefined) throw new QemuError("unsupported-qemu", refusal);
  return version;
}
