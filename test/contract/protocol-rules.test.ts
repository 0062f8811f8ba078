import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, type TestContext, test } from "node:test";

const repositoryRoot = resolve(import.meta.dirname, "../..");

const accepted = `
syntax = "proto3";

// A protocol of one message.
package paddock.planted.v1;

// A gate of the paddock.
message Gate {
  // Which gate it is.
  string id = 1;
  // How wide it is.
  uint32 width_mm = 2;
}
`;

/** A directory under the rules of proto/buf.yaml whose only protocol of ours is `text`. */
function protocol(
  t: TestContext,
  text: string,
): { buf(...args: string[]): { status: number | null; said: string } } {
  const directory = mkdtempSync(join(tmpdir(), "protocol-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const rules = join(repositoryRoot, "proto/buf.yaml");
  cpSync(rules, join(directory, "buf.yaml"));
  for (const [, module = "."] of readFileSync(rules, "utf8").matchAll(/- path: (\S+)/g)) {
    if (module === ".") continue;
    mkdirSync(join(directory, module), { recursive: true });
    writeFileSync(join(directory, module, "empty.proto"), 'syntax = "proto3";\n');
  }
  mkdirSync(join(directory, "paddock/planted/v1"), { recursive: true });
  writeFileSync(join(directory, "paddock/planted/v1/gate.proto"), text);
  return {
    buf(...args) {
      const ran = spawnSync(join(repositoryRoot, "node_modules/.bin/buf"), args, {
        cwd: directory,
        encoding: "utf8",
      });
      return { status: ran.status, said: ran.stdout + ran.stderr };
    },
  };
}

describe("the rules of the protocol", () => {
  const breaks = (t: TestContext, text: string) => {
    const images = mkdtempSync(join(tmpdir(), "images-"));
    t.after(() => rmSync(images, { recursive: true, force: true }));
    const [before, after] = [join(images, "before.binpb"), join(images, "after.binpb")];
    const changed = protocol(t, text);
    for (const built of [
      protocol(t, accepted).buf("build", "--output", before),
      changed.buf("build", "--output", after),
    ]) {
      assert.equal(built.status, 0, built.said);
    }
    return changed.buf("breaking", after, "--against", before, "--config", "buf.yaml");
  };

  test("accept a protocol that follows them", (t) => {
    const { status, said } = protocol(t, accepted).buf("lint");
    assert.equal(status, 0, said);
  });

  test("refuse a field without a comment", (t) => {
    const { status, said } = protocol(t, accepted.replace("  // How wide it is.\n", "")).buf("lint");
    assert.notEqual(status, 0);
    assert.match(said, /"width_mm".*comment/);
  });

  test("accept a new field", (t) => {
    const { status, said } = breaks(
      t,
      accepted.replace("width_mm = 2;", "width_mm = 2;\n  // How high.\n  uint32 height_mm = 3;"),
    );
    assert.equal(status, 0, said);
  });

  test("refuse a field that changes its number, its type or its JSON name", (t) => {
    for (const field of ["uint32 width_mm = 3", "string width_mm = 2", "uint32 breadth_mm = 2"]) {
      const { status, said } = breaks(t, accepted.replace("uint32 width_mm = 2", field));
      assert.notEqual(status, 0, field);
      assert.match(said, /width_mm|widthMm|"2"/, field);
    }
  });
});
