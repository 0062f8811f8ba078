/**
 * A VM whose kernel has the cgroup layout that a test asks for, and which runs unit tests of this repository on it.
 *
 * Its root is an initramfs with Node, a shell, a few coreutils and the sources: no disk, no modules, no agent. What it says on
 * its serial console is the answer.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { globSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ArchiveEntry, newcArchive } from "../../deploy/guest/newc-archive.ts";

const ROOT = join(import.meta.dirname, "../..");
const PROGRAMS = ["sh", "mount", "cat", "sleep", "printf", "ln", "mkdir", "echo"];
/** Under emulation all of it takes 30 s on an idle host, and no part of it more than 10 s. */
const SILENCE_MS = 60_000;
const BOOTS = 2;

/** Files by their path in the guest, for a program with the libraries that it loads. */
function programFiles(name: string, path: string): Map<string, string> {
  const libraries = execFileSync("ldd", [path], { encoding: "utf8" });
  const files = new Map([[`bin/${name}`, realpathSync(path)]]);
  for (const [, library = ""] of libraries.matchAll(/(\/\S+) \(0x/g))
    files.set(library.slice(1), realpathSync(library));
  return files;
}

function initramfs(init: string): Buffer {
  const files = new Map([
    ...PROGRAMS.flatMap((name) => [...programFiles(name, realpathSync(`/bin/${name}`))]),
    ...programFiles("node", realpathSync(join(ROOT, "node_modules/.bin/node"))),
    ...globSync(
      [
        "libs/cgroups/package.json",
        "libs/cgroups/src/*.ts",
        "services/node/package.json",
        "services/node/src/machine/vm-cgroups*.ts",
      ],
      { cwd: ROOT },
    ).map((path) => [`src/${path}`, join(ROOT, path)] as const),
  ]);
  const directories = new Set(["dev", "proc", "sys", "tmp", "src/node_modules/@paddock"]);
  for (const path of [...files.keys(), ...directories])
    for (let above = dirname(path); above !== "."; above = dirname(above)) directories.add(above);
  const entries: ArchiveEntry[] = [
    ...[...directories].map((path) => ({ kind: "directory" as const, path, mode: 0o755 })),
    { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "file", path: "init", mode: 0o755, data: Buffer.from(init) },
    ...[...files].map(([path, source]) => ({
      kind: "file" as const,
      path,
      mode: 0o755,
      data: readFileSync(source),
    })),
  ];
  return newcArchive(entries);
}

function initScript(lines: readonly string[], tests: readonly string[]): string {
  return [
    "#!/bin/sh",
    "export PATH=/bin HOME=/tmp",
    "mount -t proc proc /proc",
    "mount -t sysfs sysfs /sys",
    "mount -t devtmpfs devtmpfs /dev",
    "mount -t tmpfs tmpfs /sys/fs/cgroup",
    "ln -s /src/libs/cgroups /src/node_modules/@paddock/cgroups",
    ...lines,
    "cd /src",
    "outside > /tmp/before",
    `node --test --test-isolation=none --test-reporter=tap ${tests.join(" ")} && echo TESTS-PASSED`,
    "echo BEFORE; cat /tmp/before; echo AFTER; outside; echo END",
    // A reset would cut off what the serial port has not sent yet, so the host ends the VM when it has read END.
    "exec sleep infinity",
    "",
  ].join("\n");
}

export interface LayoutGuest {
  /** Shell lines that mount the cgroups, and define `outside`, which prints what must not change. */
  readonly prepare: readonly string[];
  /** Test files, relative to the repository. */
  readonly tests: readonly string[];
}

/**
 * Runs them to their end in a VM of its own; what the serial console said. `scratch` is a directory for the VM's files.
 *
 * A VM that falls silent is booted once more. That was seen in 3 of some 45 runs with v1 on a busy host: both emulated vCPUs spin at
 * different places of tests that only write limits. A limit whose writing hangs is silent the second time, too.
 */
export async function runInLayoutGuest(guest: LayoutGuest, scratch: string): Promise<string> {
  const image = join(scratch, "initramfs");
  writeFileSync(image, initramfs(initScript(guest.prepare, guest.tests)));
  for (let boot = 1; ; boot++) {
    const { said, fellSilent } = await bootOnce(image);
    if (!fellSilent) return said;
    if (boot === BOOTS) return `${said}\nthe VM said nothing for ${SILENCE_MS} ms and was ended\n`;
    console.error(
      `the VM said nothing for ${SILENCE_MS} ms and is booted again; its last words:\n${said.slice(-500)}`,
    );
  }
}

async function bootOnce(image: string): Promise<{ said: string; fellSilent: boolean }> {
  const args = [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"],
    ...["-machine", "q35,sata=off,usb=off,smbus=off,hpet=off,vmport=off,smm=off", "-m", "1G", "-smp", "2"],
    ...["-accel", "tcg", "-cpu", "max", "-initrd", image],
    ...["-kernel", join(ROOT, "deploy/guest/out/vmlinux")],
    ...[
      "-append",
      "console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests no_timer_check random.trust_cpu=on",
    ],
  ];
  const qemu = spawn("qemu-system-x86_64", args, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  let fellSilent = false;
  const silence = setTimeout(() => {
    fellSilent = true;
    qemu.kill("SIGKILL");
  }, SILENCE_MS);
  qemu.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    silence.refresh();
    if (/^END\r?$/m.test(said)) qemu.kill("SIGKILL");
  });
  await once(qemu, "close");
  clearTimeout(silence);
  return { said: said.replaceAll("\r", ""), fellSilent };
}
