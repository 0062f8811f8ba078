/** Changes to well-formed archives that a fuzz test tries: a few bytes, pieces moved, header fields with a right checksum. */
import fc from "fast-check";

const blockBytes = 512;

export type Mutation = (input: Buffer) => Buffer;

const flip = fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }).map(
  ({ at, value }): Mutation =>
    (input) => {
      const changed = Buffer.from(input);
      if (changed.length > 0) changed[at % changed.length] = value;
      return changed;
    },
);

const cut = fc.nat().map(
  (at): Mutation =>
    (input) =>
      input.subarray(0, at % (input.length + 1)),
);

const repeatBlocks = fc.record({ at: fc.nat(), count: fc.integer({ min: 1, max: 4 }), to: fc.nat() }).map(
  ({ at, count, to }): Mutation =>
    (input) => {
      const blocks = Math.floor(input.length / blockBytes) + 1;
      const from = (at % blocks) * blockBytes;
      const piece = input.subarray(from, from + count * blockBytes);
      const target = (to % blocks) * blockBytes;
      return Buffer.concat([input.subarray(0, target), piece, input.subarray(target)]);
    },
);

const fieldOffsets = {
  name: 0,
  mode: 100,
  uid: 108,
  gid: 116,
  size: 124,
  mtime: 136,
  typeflag: 156,
  link: 157,
  magic: 257,
};
const interesting = fc.oneof(
  fc.constantFrom(
    "../../x",
    "/",
    "",
    ".",
    "a/..",
    ".wh.",
    ".wh..wh..opq",
    ".wh.a",
    "a/b/c/d",
    "x".repeat(100),
  ),
  fc.constantFrom(
    "77777777777",
    "00000000000",
    "-0000000001",
    "99999999999",
    "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "\xff\xff\xff\xff",
  ),
  fc.constantFrom("0", "1", "2", "3", "5", "6", "7", "L", "K", "x", "g", "S", "D", "\0"),
  fc.string({ maxLength: 12, unit: "binary-ascii" }),
);

/** One field of one header is replaced, and the checksum set right: else next to every change ends at the checksum. */
const setField = fc
  .record({ block: fc.nat(), field: fc.constantFrom(...Object.values(fieldOffsets)), value: interesting })
  .map(
    ({ block, field, value }): Mutation =>
      (input) => {
        const changed = Buffer.from(input);
        const start = (block % (Math.floor(changed.length / blockBytes) + 1)) * blockBytes;
        if (start + blockBytes > changed.length) return changed;
        const header = changed.subarray(start, start + blockBytes);
        header.write(`${value}\0`, field, "latin1");
        setChecksum(header);
        return changed;
      },
  );

export function setChecksum(header: Buffer): void {
  header.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}

/** Up to six changes, one after the other. */
export const mutation: fc.Arbitrary<Mutation> = fc
  .array(fc.oneof(flip, cut, repeatBlocks, setField, setField, setField), { minLength: 1, maxLength: 6 })
  .map(
    (steps): Mutation =>
      (input) =>
        steps.reduce((bytes, step) => step(bytes), input),
  );
