/** Builds out/ from an unpacked kernel package and the agent. Called by build.sh, which decides when. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { extractVmlinux } from "./extract-vmlinux.ts";
import { type ModulePlan, planModules } from "./module-plan.ts";
import { type ArchiveEntry, newcArchive } from "./newc-archive.ts";

interface Inputs {
  readonly kernelRoot: string;
  readonly agent: string;
  readonly modulesList: string;
  readonly out: string;
}

function readInputs(): Inputs {
  const { values } = parseArgs({
    options: {
      "kernel-root": { type: "string" },
      agent: { type: "string" },
      "modules-list": { type: "string" },
      out: { type: "string" },
    },
  });
  const need = (name: keyof typeof values): string => {
    const value = values[name];
    if (value === undefined) throw new Error(`--${name} is required`);
    return value;
  };
  return {
    kernelRoot: need("kernel-root"),
    agent: need("agent"),
    modulesList: need("modules-list"),
    out: need("out"),
  };
}

function kernelRelease(root: string): string {
  const releases = readdirSync(join(root, "lib/modules"));
  const [release] = releases;
  if (release === undefined || releases.length !== 1) {
    throw new Error(`expected one kernel under ${root}/lib/modules, found: ${releases.join(", ") || "none"}`);
  }
  return release;
}

function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function initramfs(plan: ModulePlan, moduleDir: string, agent: Buffer): Buffer {
  const lines = (lists: readonly (readonly string[])[]) =>
    Buffer.from(lists.map((paths) => `${paths.map(basename).join(" ")}\n`).join(""));
  const directories = ["dev", "proc", "sys", "run", "tmp", "modules"];
  const entries: ArchiveEntry[] = [
    ...directories.map((path) => ({ kind: "directory" as const, path, mode: 0o755 })),
    { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "file", path: "init", mode: 0o755, data: agent },
    { kind: "file", path: "modules/order", mode: 0o644, data: lines(plan.boot.map((path) => [path])) },
    { kind: "file", path: "modules/on-demand", mode: 0o644, data: lines(plan.chains) },
    ...[...plan.boot, ...plan.demand].map((path) => ({
      kind: "file" as const,
      path: `modules/${basename(path)}`,
      mode: 0o644,
      data: readFileSync(join(moduleDir, path)),
    })),
  ];
  return newcArchive(entries);
}

/** Writes a temporary file and renames it, so that a VM that is starting never sees half a file. */
function publish(out: string, name: string, data: string | Buffer): { bytes: number; sha256: string } {
  const aside = join(out, `.${name}.${process.pid}`);
  writeFileSync(aside, data);
  renameSync(aside, join(out, name));
  return { bytes: Buffer.byteLength(data), sha256: createHash("sha256").update(data).digest("hex") };
}

function build(inputs: Inputs): void {
  const release = kernelRelease(inputs.kernelRoot);
  const moduleDir = join(inputs.kernelRoot, "lib/modules", release);
  const plan = planModules(readFileSync(inputs.modulesList, "utf8"), {
    dep: readFileSync(join(moduleDir, "modules.dep"), "utf8"),
    builtin: readFileSync(join(moduleDir, "modules.builtin"), "utf8"),
  });
  const bzImage = readFileSync(join(inputs.kernelRoot, "boot", `vmlinuz-${release}`));
  const agent = readFileSync(inputs.agent);

  mkdirSync(inputs.out, { recursive: true });
  const files = {
    vmlinux: publish(inputs.out, "vmlinux", extractVmlinux(bzImage)),
    vmlinuz: publish(inputs.out, "vmlinuz", bzImage),
    "initramfs.cpio": publish(inputs.out, "initramfs.cpio", initramfs(plan, moduleDir, agent)),
  };
  const manifest = {
    kernelRelease: release,
    kernel: "vmlinux",
    initramfs: "initramfs.cpio",
    files,
    agentSha256: createHash("sha256").update(agent).digest("hex"),
    modules: {
      boot: plan.boot.map(basename),
      onDemand: plan.demand.map(basename),
      builtin: plan.builtin,
    },
  };
  publish(inputs.out, "manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
}

build(readInputs());
