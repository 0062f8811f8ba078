import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { csvFields } from "./csv-fields.ts";
import type { MountInit } from "./mount-place.ts";
import { parseMount, parseVolume } from "./mount-words.ts";
import { parseTmpfs } from "./tmpfs-words.ts";

const HOME = "/home/ada";

/** The source of a mount in one word. */
function sourceText({ source }: MountInit): string {
  switch (source.case) {
    case "volume":
      return `volume ${source.value.name}`;
    case "hostDirectory":
      return `directory ${source.value.path}`;
    case "tmpfs":
      return `tmpfs ${source.value.sizeBytes} ${source.value.mode?.toString(8)}`;
    default:
      return "another";
  }
}

for (const { text, source, destination, readOnly = false } of [
  { text: "data:/data", source: "volume data", destination: "/data" },
  { text: "data.v1:/data:ro", source: "volume data.v1", destination: "/data", readOnly: true },
  { text: "data:/a//b/../c/:rw", source: "volume data", destination: "/a/c" },
  { text: "/srv/../etc:/etc", source: "directory /etc", destination: "/etc" },
  { text: "./src:/src", source: `directory ${resolve("src")}`, destination: "/src" },
  { text: ".:/src:ro", source: `directory ${process.cwd()}`, destination: "/src", readOnly: true },
  { text: "../x:/x", source: `directory ${resolve("..", "x")}`, destination: "/x" },
  { text: "~:/x", source: "directory /home/ada", destination: "/x" },
  { text: "~/my work:/x", source: "directory /home/ada/my work", destination: "/x" },
]) {
  test(`-v "${text}" mounts ${source} at ${destination}`, () => {
    const mount = parseVolume(text, HOME);
    assert.deepEqual([sourceText(mount), mount.destination, mount.readOnly], [source, destination, readOnly]);
  });
}

for (const { text, says } of [
  { text: "data", says: /is not a source and a destination/ },
  { text: ":/data", says: /is not a source and a destination/ },
  { text: "data:/data:ro:x", says: /is not a source and a destination/ },
  { text: "data:data", says: /the destination "data" is not an absolute path in the container/ },
  { text: "data:/", says: /nothing can be mounted over the root/ },
  { text: "data:/x/..", says: /nothing can be mounted over the root/ },
  { text: "data:/x:z", says: /"z" is not an option of a volume/ },
  { text: "data:/x:ro,", says: /"" is not an option of a volume/ },
  { text: "my data:/x", says: /"my data" is not the name of a volume/ },
  { text: `/${"a".repeat(4096)}:/x`, says: /a path can have 4095 bytes/ },
]) {
  test(`-v "${text.slice(0, 40)}" is a usage error`, () => {
    assert.throws(() => parseVolume(text, HOME), says);
  });
}

test("-v hints at ./ for a relative path, and needs HOME for ~", () => {
  assert.throws(() => parseVolume("src/app:/app", HOME), { hint: /write ".\/src\/app"/ });
  assert.throws(() => parseVolume("~/x:/app", undefined), /"~" is a directory only if HOME is set/);
});

for (const { text, source, destination, readOnly = false, options } of [
  { text: "source=data,target=/data", source: "volume data", destination: "/data" },
  { text: "type=volume,src=data,dst=/d,ro", source: "volume data", destination: "/d", readOnly: true },
  { text: "type=bind,source=/srv,destination=/s", source: "directory /srv", destination: "/s" },
  { text: "type=bind,source=src,target=/s", source: `directory ${resolve("src")}`, destination: "/s" },
  { text: 'type=bind,"src=/a,b",dst=/s,readonly=0', source: "directory /a,b", destination: "/s" },
  {
    text: "type=tmpfs,target=/run,tmpfs-size=1m,tmpfs-mode=0750,readonly=true",
    source: "tmpfs 1048576 750",
    destination: "/run",
    readOnly: true,
    options: ["nosuid", "nodev", "noexec"],
  },
]) {
  test(`--mount "${text}" mounts ${source}`, () => {
    const mount = parseMount(text, HOME);
    assert.deepEqual(
      [sourceText(mount), mount.destination, mount.readOnly, mount.options],
      [source, destination, readOnly, options],
    );
  });
}

for (const { text, says } of [
  { text: "", says: /"" is not a key of a mount/ },
  { text: "type=nfs,target=/x", says: /"nfs" is not a type of mount/ },
  { text: "source=data", says: /has no target/ },
  { text: "target=/x", says: /has no source/ },
  { text: "source,target=/x", says: /"source" has no value/ },
  { text: "source=a,src=b,target=/x", says: /says twice what its source is/ },
  { text: "source=a,target=/x,volume-driver=local", says: /"volume-driver" is not a key of a mount/ },
  { text: "source=/srv,target=/x", says: /"\/srv" is not the name of a volume/ },
  { text: "source=a,target=/x,tmpfs-size=1m", says: /tmpfs-size is for type=tmpfs/ },
  { text: "type=tmpfs,source=a,target=/x", says: /a tmpfs has no source/ },
  { text: "source=a,target=/x,ro=maybe", says: /readonly cannot be "maybe"/ },
  { text: 'source="a,target=/x', says: /has a quote that does not enclose a field/ },
]) {
  test(`--mount "${text}" is a usage error`, () => {
    assert.throws(() => parseMount(text, HOME), says);
  });
}

for (const { text, source, readOnly = false, options } of [
  { text: "/run", source: "tmpfs 0 0", options: ["nosuid", "nodev", "noexec"] },
  { text: "/run:size=64m,mode=1777", source: "tmpfs 67108864 1777", options: ["nosuid", "nodev", "noexec"] },
  { text: "/run:ro,exec,suid", source: "tmpfs 0 0", readOnly: true, options: ["nodev"] },
]) {
  test(`--tmpfs "${text}" mounts ${source} with ${options.join(", ")}`, () => {
    const mount = parseTmpfs(text);
    assert.deepEqual([sourceText(mount), mount.readOnly, mount.options], [source, readOnly, options]);
  });
}

for (const { text, says } of [
  { text: "run", says: /the destination "run" is not an absolute path/ },
  { text: "/run:", says: undefined },
  { text: "/run:size=1k", says: /the size is too small/ },
  { text: "/run:size=50%", says: /"50%" is not a size/ },
  { text: "/run:mode=8", says: /"8" is not a mode/ },
  { text: "/run:mode=0", says: /"0" is not a mode/ },
  { text: "/run:mode=17777", says: /"17777" is not a mode/ },
  { text: "/run:dev", says: /"dev" is not an option of a tmpfs/ },
  { text: "/run:size", says: /"size" is not an option of a tmpfs/ },
]) {
  test(`--tmpfs "${text}" is ${says ? "a usage error" : "the same as without options"}`, () => {
    if (says) assert.throws(() => parseTmpfs(text), says);
    else assert.equal(parseTmpfs(text).destination, "/run");
  });
}

test("fields may have commas and quotes inside quotes, and nowhere else", () => {
  assert.deepEqual(csvFields('a,"b,c","d""e",'), ["a", "b,c", 'd"e', ""]);
  assert.deepEqual(csvFields(""), [""]);
  for (const odd of ['a"b', '"a', '"a"b', 'a,"']) assert.equal(csvFields(odd), undefined, odd);
});
