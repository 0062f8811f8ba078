import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, test } from "node:test";
import { dependencyFaults, hostFaults, machinePathFaults, nameFaults, sizeFaults } from "./layout-rules.ts";
import { repositoryRoot, trackedFiles } from "./tracked-files.ts";

const files = trackedFiles().filter(({ path }) => !path.startsWith("test/architecture/planted/"));
const manifests = files.filter(({ path }) => basename(path) === "package.json");

describe("the repository", () => {
  test("has no source file over 350 lines", () => {
    assert.deepEqual(files.flatMap(sizeFaults), []);
  });

  test("names no file after its kind instead of its subject", () => {
    assert.deepEqual(files.flatMap(nameFaults), []);
  });

  test("has a README.md in every workspace and in the agent", () => {
    const packages = [...manifests.map(({ path }) => dirname(path)), "services/agent"];
    const have = new Set(files.map(({ path }) => path));
    assert.deepEqual(
      packages.filter((directory) => !have.has(join(directory, "README.md"))),
      [],
    );
  });

  test("names no package registry and no path of a developer's machine", () => {
    assert.deepEqual(
      files.flatMap((file) => [...hostFaults(file), ...machinePathFaults(file)]),
      [],
    );
  });

  test("pins every npm dependency to one version", () => {
    assert.deepEqual(manifests.flatMap(dependencyFaults), []);
  });

  test("has a lock file that agrees with the manifests", () => {
    const { packages } = JSON.parse(readFileSync(join(repositoryRoot, "package-lock.json"), "utf8"));
    for (const manifest of manifests) {
      const { dependencies = {}, devDependencies = {} } = JSON.parse(manifest.read());
      const directory = dirname(manifest.path).replace(/^\.$/, "");
      const locked = packages[directory] ?? {};
      assert.deepEqual(
        { ...locked.dependencies, ...locked.devDependencies },
        { ...dependencies, ...devDependencies },
        manifest.path,
      );
    }
  });

  test("uses the tools that the unused-dependency check ignores", () => {
    const { ignoreDependencies } = JSON.parse(readFileSync(join(repositoryRoot, "knip.json"), "utf8"));
    const scripts = files
      .filter(
        ({ path }) =>
          /\.(?:sh|yaml|json)$|^\.ci\//.test(path) && !/package(?:-lock)?\.json$|knip\.json$/.test(path),
      )
      .map((file) => file.read())
      .join("\n");
    const words: Record<string, RegExp> = {
      "@biomejs/biome": /\bbiome ci\b/,
      "@bufbuild/buf": /\bbuf (?:lint|generate)\b/,
      "@bufbuild/protoc-gen-es": /protoc-gen-es/,
      "@types/tar-stream": /./,
      "google-proto-files": /google-proto-files/,
      node: /\bnode --import\b/,
    };
    const unexplained = ignoreDependencies.filter((name: string) => !words[name]?.test(scripts));
    assert.deepEqual(unexplained, []);
  });
});

describe("a layout rule reports", () => {
  const file = (path: string, text = "") => ({ path, read: () => text });

  test("a source file of 351 lines, and not a generated one", () => {
    const text = "line\n".repeat(351);
    assert.equal(sizeFaults(file("libs/qemu/src/qmp.ts", text)).length, 1);
    assert.equal(sizeFaults(file("libs/protocol/src/gen/a_pb.js", text)).length, 0);
    assert.equal(sizeFaults(file("libs/qemu/src/qmp.ts", "line\n".repeat(350))).length, 0);
  });

  test("utils, common, helpers, shared and types, as a file or a directory", () => {
    for (const path of [
      "libs/a/src/utils.ts",
      "libs/a/src/common/x.ts",
      "a/helpers.rs",
      "a/shared.sh",
      "a/types.ts",
    ]) {
      assert.equal(nameFaults(file(path)).length, 1, path);
    }
    assert.equal(nameFaults(file("libs/a/src/keyed-lock.ts")).length, 0);
  });

  test("a source file that is not in kebab-case", () => {
    assert.equal(nameFaults(file("libs/a/src/keyedLock.ts")).length, 1);
    assert.equal(nameFaults(file("services/agent/src/pid_one.rs")).length, 0);
  });

  test("a registry host, a lock file's resolved address and a path of one machine", () => {
    const host = ["registry", "npmjs", "org"].join(".");
    const quote = '"';
    assert.equal(hostFaults(file("README.md", `from ${host}`)).length, 1);
    assert.equal(hostFaults(file("package-lock.json", `${quote}resolved": "https://a.example/x"`)).length, 1);
    assert.equal(hostFaults(file("package-lock.json", `${quote}resolved": "libs/domain"`)).length, 0);
    assert.equal(hostFaults(file(".npmrc", `registry=https://packages.${"example"}.com/npm/`)).length, 1);
    assert.equal(machinePathFaults(file("a.ts", `open("/${"root"}/x")`)).length, 1);
    assert.equal(machinePathFaults(file("a.ts", "import '../work/x.ts'")).length, 0);
  });

  test("a version that is a range", () => {
    const manifest = (version: string) =>
      file("package.json", JSON.stringify({ dependencies: { pino: version } }));
    assert.equal(dependencyFaults(manifest("^10.4.0")).length, 1);
    assert.equal(dependencyFaults(manifest("10")).length, 1);
    assert.equal(dependencyFaults(manifest("10.4.0")).length, 0);
  });
});
