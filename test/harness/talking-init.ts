/** An init that writes `text` to the file `path` and then waits forever: x86-64 machine code in a minimal ELF file. */
export function talkingInit(path: string, text: string): Buffer {
  const at = 0x400078;
  const codeBytes = 57;
  const name = Buffer.from(`${path}\0`);
  const words = Buffer.from(text);
  const nameAt = at + codeBytes;
  const code = Buffer.concat([
    ...[move("edi", nameAt), move("esi", 1), move("eax", 2), SYSCALL], // open(path, O_WRONLY)
    Buffer.from([0x89, 0xc7]), // mov edi, eax
    ...[move("esi", nameAt + name.length), move("edx", words.length), move("eax", 1), SYSCALL], // write
    ...[move("eax", 34), SYSCALL], // pause()
    Buffer.from([0xeb, 0xf7]), // jmp to pause
  ]);
  return Buffer.concat([header(codeBytes + name.length + words.length), pad(code, codeBytes), name, words]);
}

const SYSCALL = Buffer.from([0x0f, 0x05]);

function move(register: "eax" | "edx" | "esi" | "edi", value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt8({ eax: 0xb8, edx: 0xba, esi: 0xbe, edi: 0xbf }[register]);
  bytes.writeUInt32LE(value, 1);
  return bytes;
}

function pad(code: Buffer, bytes: number): Buffer {
  return Buffer.concat([code, Buffer.alloc(bytes - code.length, 0x90)]);
}

/** ELF and program header of a file that is loaded as a whole and entered after them. */
function header(bytes: number): Buffer {
  const head = Buffer.alloc(120);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  head.writeUInt16LE(2, 16); // executable
  head.writeUInt16LE(62, 18); // x86-64
  head.writeUInt32LE(1, 20);
  head.writeBigUInt64LE(0x400078n, 24); // entry
  head.writeBigUInt64LE(64n, 32); // program headers
  head.writeUInt16LE(64, 52);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(1, 56);
  head.writeUInt32LE(1, 64); // load
  head.writeUInt32LE(5, 68); // read, execute
  head.writeBigUInt64LE(0x400000n, 80);
  head.writeBigUInt64LE(0x400000n, 88);
  head.writeBigUInt64LE(BigInt(120 + bytes), 96);
  head.writeBigUInt64LE(BigInt(120 + bytes), 104);
  head.writeBigUInt64LE(0x1000n, 112);
  return head;
}
