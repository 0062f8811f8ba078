/**
 * Runs the archive readers on generated inputs. For any input they end with an `ImageError` or with a tree whose paths stay inside the
 * root. `PADDOCK_FUZZ_RUNS` sets the number of inputs for each reader; a failing input is saved in `corpus/`.
 */
import assert from "node:assert/strict";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { findImage } from "./convert-archive.ts";
import { decompress, sniffCompression } from "./decompress.ts";
import { parseImageDocument } from "./image-config.ts";
import { ImageError } from "./image-error.ts";
import { mergeLayers } from "./layers.ts";
import { defaultImageLimits } from "./limits.ts";
import { walk } from "./merged-tree.ts";
import { Spool } from "./spool.ts";
import { parsePax } from "./tar-pax.ts";
import { readTar } from "./tar-reader.ts";
import { stream } from "./testing/build-archive.ts";
import { type CorpusName, corpus, saveFailingInput } from "./testing/corpus.ts";
import { temporaryDirectory } from "./testing/temporary-store.ts";

const blockBytes = 512;

type Mutation = (input: Buffer) => Buffer;

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

/** Replaces one field of one header and corrects the checksum, because otherwise almost every change fails at the checksum. */
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

function setChecksum(header: Buffer): void {
  header.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}

/** Up to six changes, one after the other. */
const mutation: fc.Arbitrary<Mutation> = fc
  .array(fc.oneof(flip, cut, repeatBlocks, setField, setField, setField), { minLength: 1, maxLength: 6 })
  .map(
    (steps): Mutation =>
      (input) =>
        steps.reduce((bytes, step) => step(bytes), input),
  );

const numRuns = Number(process.env.PADDOCK_FUZZ_RUNS ?? 250);
const limits = {
  ...defaultImageLimits,
  maxUnpackedBytes: 4 * 1024 ** 2,
  maxEntries: 2000,
  maxMetadataBytes: 1024 ** 2,
};
const signal = new AbortController().signal;

/** Succeeds, or throws an `ImageError` with a hint. */
async function endsWell(reader: CorpusName, input: Buffer, read: (input: Buffer) => unknown): Promise<void> {
  try {
    await read(input);
  } catch (error) {
    if (error instanceof ImageError && error.hint !== "") return;
    throw new Error(`saved as ${saveFailingInput(reader, input)}`, { cause: error });
  }
}

/** Runs every input of the corpus unchanged, then mutated inputs. */
async function fuzz(reader: CorpusName, read: (input: Buffer) => unknown): Promise<void> {
  const seeds = corpus(reader);
  for (const [, input] of seeds) await endsWell(reader, input, read);
  const change: fc.Arbitrary<[Buffer, Mutation]> = fc.tuple(
    fc.constantFrom(...seeds.map(([, input]) => input)),
    mutation,
  );
  await fc.assert(
    fc.asyncProperty(change, ([input, mutate]) => endsWell(reader, mutate(input), read)),
    { numRuns },
  );
}

async function readEntries(input: Buffer, sparse = false): Promise<void> {
  let bytes = 0;
  for await (const entry of readTar(stream(input, 700), { requireEndMarker: false, sparse })) {
    assert.ok(Number.isSafeInteger(entry.size) && entry.size >= 0);
    for await (const part of entry.body) bytes += part.length;
  }
  assert.ok(bytes <= input.length);
}

test("for any input, the tar reader returns entries or refuses it", () =>
  fuzz("tar", (input) => readEntries(input)));

test("for any input, a tar reader that accepts sparse files returns entries or refuses it", () =>
  fuzz("tar", (input) => readEntries(input, true)));

test("for any input, the pax parser returns records or refuses it", () =>
  fuzz("pax", (input) => {
    for (const scope of ["entry", "global"] as const)
      for (const sparse of [false, true])
        for (const [key, value] of parsePax(input, { scope, sparse }))
          assert.ok(key.length + value.length < input.length);
  }));

test("for any input, the config parser returns a config or refuses it", () =>
  fuzz("document", (input) => {
    const { config, diffIds } = parseImageDocument(input.toString("utf8"));
    assert.ok(config.workingDir.startsWith("/"));
    assert.ok(config.env.every((variable) => variable.indexOf("=") > 0));
    assert.ok(diffIds.every((id) => /^sha256:[0-9a-f]{64}$/.test(id)));
  }));

test("for any input, decompression yields bytes within the bound or refuses it", () =>
  fuzz("frame", async (input) => {
    const compression = sniffCompression(input);
    if (compression === "xz" || compression === "bzip2") return;
    let bytes = 0;
    const options = { maxBytes: 100_000, what: "a layer" };
    for await (const chunk of decompress(stream(input, 100), compression, options)) bytes += chunk.length;
    assert.ok(bytes <= 100_000);
  }));

test("for any input, an archive becomes a tree inside its root or is refused", async (t) => {
  const path = join(await temporaryDirectory(t), "archive");
  await fuzz("archive", async (input) => {
    await writeFile(path, input);
    await using spool = new Spool(path, await open(path, "r"), input.length);
    const wanted = {
      format: "auto",
      name: undefined,
      config: undefined,
      architecture: "amd64",
      signal,
    } as const;
    const { archive, layers } = await findImage(spool, wanted);
    const options = { blobs: archive, layers, limits, signal, onBytes: () => undefined };
    const { tree } = await mergeLayers(options);
    for (const [name] of walk(tree.root)) {
      assert.ok(!name.startsWith("/") && name.length <= 4095, name);
      for (const part of name.split("/")) assert.ok(part !== "" && part !== "." && part !== "..", name);
    }
  });
});

test("any mix of gzip and zstd frames is decompressed or refused", async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => gzipSync(bytes)),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => zstdCompressSync(bytes)),
    // A skippable frame, in which zstd:chunked stores its table.
    fc.uint8Array({ maxLength: 30 }).map((bytes) => {
      const head = Buffer.from("502a4d1800000000", "hex");
      head.writeUInt32LE(bytes.length, 4);
      return Buffer.concat([head, bytes]);
    }),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 5 }), async (pieces) => {
      const input = Buffer.concat(pieces);
      await endsWell("frame", input, async () => {
        const compression = sniffCompression(input);
        if (compression === "xz" || compression === "bzip2") return;
        const options = { maxBytes: 10_000, what: "a layer" };
        for await (const chunk of decompress(stream(input, 64), compression, options))
          assert.ok(chunk.length <= 10_000);
      });
    }),
    { numRuns },
  );
});
