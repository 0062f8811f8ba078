/**
 * Extracts the ELF kernel from a bzImage, so that QEMU can enter it directly (PVH) and the guest need not decompress it, which
 * under emulation costs about half a second of every boot.
 *
 * The boot protocol header contains the position of the payload (Linux, Documentation/arch/x86/boot.rst: setup_sects at 0x1f1,
 * payload_offset at 0x248, payload_length at 0x24c, protocol 2.08 and later).
 */
import { spawnSync } from "node:child_process";

const DECOMPRESSORS = [
  { magic: "02214c18", name: "lz4 (legacy frame)", argv: ["lz4", "-dc"] },
  { magic: "28b52ffd", name: "zstd", argv: ["zstd", "-dc"] },
  { magic: "fd377a58", name: "xz", argv: ["xz", "-dc", "--single-stream"] },
  { magic: "1f8b", name: "gzip", argv: ["gzip", "-dc"] },
] as const;

const MAX_KERNEL_BYTES = 512 * 1024 * 1024;

/** The compressed payload, without the four bytes of its unpacked size that the kernel build appends. */
export function kernelPayload(bzImage: Buffer): { payload: Buffer; unpackedBytes: number } {
  if (bzImage.length < 0x250 || bzImage.toString("latin1", 0x202, 0x206) !== "HdrS") {
    throw new Error("not a bzImage: the HdrS signature is missing");
  }
  if (bzImage.readUInt16LE(0x206) < 0x208)
    throw new Error("boot protocol older than 2.08: no payload offset");
  const setupSectors = bzImage.readUInt8(0x1f1) || 4;
  const start = (setupSectors + 1) * 512 + bzImage.readUInt32LE(0x248);
  const length = bzImage.readUInt32LE(0x24c);
  if (length < 8 || start + length > bzImage.length) throw new Error("the payload lies outside the file");
  const payload = bzImage.subarray(start, start + length);
  return { payload: payload.subarray(0, -4), unpackedBytes: payload.readUInt32LE(length - 4) };
}

/** The end of the last byte that a segment or section table of the ELF refers to; relocation data follows. */
function elfBytes(elf: Buffer): number {
  const sectionTable = Number(elf.readBigUInt64LE(0x28));
  return Math.min(elf.length, sectionTable + elf.readUInt16LE(0x3a) * elf.readUInt16LE(0x3c));
}

/** Whether QEMU can enter the kernel by PVH: the ELF has a Xen PHYS32_ENTRY (18) note. */
export function hasPvhEntry(elf: Buffer): boolean {
  const note = Buffer.from([4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 0x58, 0x65, 0x6e, 0]);
  const note4 = Buffer.from([4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 0x58, 0x65, 0x6e, 0]);
  return elf.includes(note) || elf.includes(note4);
}

/** Unpacks the kernel. Fails if the file is not a bzImage, or its content is not an ELF that PVH can enter. */
export function extractVmlinux(bzImage: Buffer): Buffer {
  const { payload, unpackedBytes } = kernelPayload(bzImage);
  const magic = payload.toString("hex", 0, 4);
  const how = DECOMPRESSORS.find((entry) => magic.startsWith(entry.magic));
  if (how === undefined) throw new Error(`the kernel is packed in an unknown way (first bytes ${magic})`);
  const [command, ...args] = how.argv;
  const result = spawnSync(command, args, { input: payload, maxBuffer: MAX_KERNEL_BYTES });
  if (result.error !== undefined) throw new Error(`cannot run ${command}: ${result.error.message}`);
  // A decompressor may complain about data after the stream; the size recorded in the image decides.
  if (result.stdout.length !== unpackedBytes) {
    throw new Error(
      `${how.name}: ${result.stdout.length} bytes, expected ${unpackedBytes}: ${result.stderr}`,
    );
  }
  if (result.stdout.toString("hex", 0, 4) !== "7f454c46")
    throw new Error("the unpacked kernel is not an ELF");
  if (!hasPvhEntry(result.stdout)) throw new Error("the kernel has no PVH entry (CONFIG_PVH)");
  return result.stdout.subarray(0, elfBytes(result.stdout));
}
