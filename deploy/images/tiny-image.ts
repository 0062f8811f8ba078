/**
 * A container image of about 1 MB, built from Debian's `busybox-static` package in a second: a shell and the usual tools, users
 * `root` and `app`. For the quickstart and for tests that need no more than that.
 *
 *     node deploy/images/tiny-image.ts [directory]     prints the path of the archive
 */
import { execFile } from "node:child_process";
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { type PackedEntry, packTar } from "@paddock/images";
import { sha256, writeOciArchive } from "./oci-archive.ts";

const run = promisify(execFile);

/** Increase when the recipe changes, so that a cached archive of the old one is not used. */
const recipe = 1;

/** Where built images are kept by default. */
export function imageCache(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "paddock", "fixtures");
}

/** Builds the image `paddock/tiny:latest` unless it exists, and returns the path of its OCI archive. */
export async function tinyImage(directory: string = imageCache()): Promise<string> {
  const path = join(directory, `tiny-${recipe}.tar`);
  if (await exists(path)) return path;
  const { busybox, applets } = await fetchBusybox();
  const parts: Buffer[] = [];
  for await (const part of packTar(rootfs(busybox, applets))) parts.push(part);
  const layer = Buffer.concat(parts);
  await writeOciArchive(path, {
    name: "paddock/tiny:latest",
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    config: { Cmd: ["/bin/sh"], Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], WorkingDir: "/" },
    layers: [
      {
        blob: gzipSync(layer),
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        diffId: sha256(layer),
      },
    ],
  });
  return path;
}

/** The static busybox of the Debian package, whether it is installed or not. */
async function fetchBusybox(): Promise<{ busybox: Buffer; applets: string[] }> {
  const directory = await mkdtemp(join(tmpdir(), "tiny-image-"));
  try {
    const deb = await downloadPackage("busybox-static", directory);
    await run("dpkg-deb", ["-x", deb, directory]);
    const file = join(directory, "bin", "busybox");
    const { stdout } = await run(file, ["--list"]);
    return { busybox: await readFile(file), applets: stdout.trim().split("\n") };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function downloadPackage(name: string, cwd: string): Promise<string> {
  try {
    await run("apt-get", ["download", "-q", name], { cwd });
  } catch (cause) {
    throw new Error(`could not download ${name} (run "apt-get update" first)`, { cause });
  }
  const { stdout } = await run("find", [cwd, "-name", "*.deb"]);
  return stdout.trim();
}

const passwd = `root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
`;
const group = "root:x:0:\ntty:x:5:\napp:x:1000:\nnogroup:x:65534:\n";

function* rootfs(busybox: Buffer, applets: readonly string[]): Generator<PackedEntry> {
  const root = { uid: 0, gid: 0, mtime: 0 };
  const app = { uid: 1000, gid: 1000, mtime: 0 };
  const plain = [
    "bin",
    "sbin",
    "usr",
    "usr/bin",
    "usr/sbin",
    "etc",
    "home",
    "proc",
    "sys",
    "dev",
    "var",
    "run",
  ];
  for (const path of plain) yield { ...root, type: "directory", path, mode: 0o755 };
  yield { ...root, type: "directory", path: "root", mode: 0o700 };
  yield { ...root, type: "directory", path: "tmp", mode: 0o1777 };
  yield { ...root, type: "directory", path: "var/tmp", mode: 0o1777 };
  yield { ...app, type: "directory", path: "home/app", mode: 0o755 };
  yield { ...root, type: "file", path: "etc/passwd", mode: 0o644, content: Buffer.from(passwd) };
  yield { ...root, type: "file", path: "etc/group", mode: 0o644, content: Buffer.from(group) };
  yield { ...root, type: "file", path: "bin/busybox", mode: 0o755, content: busybox };
  for (const applet of applets.filter((name) => name !== "busybox"))
    yield { ...root, type: "symlink", path: `bin/${applet}`, link: "busybox", mode: 0o777 };
  // Scripts use #!/usr/bin/env.
  yield { ...root, type: "symlink", path: "usr/bin/env", link: "../../bin/busybox", mode: 0o777 };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

if (import.meta.main) process.stdout.write(`${await tinyImage(process.argv[2])}\n`);
