/**
 * The smallest guest that proves an accelerator: the real kernel, with a tiny program as its first process that writes one line to
 * the console and resets the machine.
 *
 * A boot sector is not enough: on some hosts KVM opens, creates a VM and runs a few instructions, but an ordinary kernel hangs in
 * its loader. Like every sandbox, this guest needs paging, interrupts, timers, ring 3 and system calls.
 */

export const PROOF_LINE = "paddock-accelerator-proof";

const LOAD_ADDRESS = 0x400000;
const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;

function u16(n: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(n);
  return buffer;
}

function u32(n: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(n);
  return buffer;
}

function u64(n: number): Buffer {
  return Buffer.concat([u32(n), u32(0)]);
}

/** x86-64 machine code: write(1, line), then reboot(RB_AUTOBOOT). */
function code(line: Buffer): Buffer {
  const after = Buffer.concat([
    Buffer.from([0xba]), // mov edx, length
    u32(line.length),
    Buffer.from([0x0f, 0x05]), // syscall
    Buffer.from([0xb8]), // mov eax, 169 (reboot)
    u32(169),
    Buffer.from([0xbf]), // mov edi, LINUX_REBOOT_MAGIC1
    u32(0xfee1dead),
    Buffer.from([0xbe]), // mov esi, LINUX_REBOOT_MAGIC2
    u32(0x28121969),
    Buffer.from([0xba]), // mov edx, LINUX_REBOOT_CMD_RESTART
    u32(0x01234567),
    Buffer.from([0x0f, 0x05]), // syscall
    Buffer.from([0xeb, 0xfe]), // loop here if the kernel refuses
  ]);
  return Buffer.concat([
    Buffer.from([0xb8]), // mov eax, 1 (write)
    u32(1),
    Buffer.from([0xbf]), // mov edi, 1 (the console)
    u32(1),
    Buffer.from([0x48, 0x8d, 0x35]), // lea rsi, [rip + distance to the line]
    u32(after.length),
    after,
    line,
  ]);
}

/** A static ELF executable with one segment. */
export function proofProgram(): Buffer {
  const text = code(Buffer.from(`${PROOF_LINE}\n`));
  const start = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES;
  const size = start + text.length;
  return Buffer.concat([
    Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ...[u16(2), u16(62), u32(1)], // ET_EXEC, EM_X86_64
    ...[u64(LOAD_ADDRESS + start), u64(ELF_HEADER_BYTES), u64(0)], // entry, program headers, no sections
    ...[u32(0), u16(ELF_HEADER_BYTES), u16(PROGRAM_HEADER_BYTES), u16(1), u16(64), u16(0), u16(0)],
    ...[u32(1), u32(5)], // PT_LOAD, readable and executable
    ...[u64(0), u64(LOAD_ADDRESS), u64(LOAD_ADDRESS), u64(size), u64(size), u64(0x1000)],
    text,
  ]);
}

function newcRecord(path: string, mode: number, data: Buffer): Buffer {
  const name = Buffer.from(`${path}\0`);
  const fields = [1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const head = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
  const pad = (bytes: number): Buffer => Buffer.alloc((4 - (bytes % 4)) % 4);
  return Buffer.concat([Buffer.from(head), name, pad(110 + name.length), data, pad(data.length)]);
}

/** An initramfs (cpio, newc) that contains only the program, as /init. */
export function proofInitramfs(): Buffer {
  const end = newcRecord("TRAILER!!!", 0, Buffer.alloc(0));
  return Buffer.concat([newcRecord("init", 0o100755, proofProgram()), end]);
}
