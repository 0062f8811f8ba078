/**
 * The kernel modules of the guest, and the order in which they load.
 *
 * The agent has no modprobe: it calls finit_module for each line of a list. So the work of modprobe (dependencies, built-ins) is
 * done here, once, from the tables that depmod writes.
 */

export interface ModuleTables {
  /** Text of modules.dep: `path: dependency dependency`, dependencies nearest first. */
  readonly dep: string;
  /** Text of modules.builtin: one path per line. */
  readonly builtin: string;
}

export interface ModulePlan {
  /** Module paths, relative to the module directory, in load order. */
  readonly boot: readonly string[];
  /** Modules that are loaded on demand and their dependencies, each once. */
  readonly demand: readonly string[];
  /** What to load for each of them: its dependencies that are not loaded at boot, then the module. */
  readonly chains: readonly (readonly string[])[];
  /** Wanted modules that are built into the kernel. */
  readonly builtin: readonly string[];
}

/** `virtio-rng.ko.xz` and `virtio_rng` are the same module: the kernel treats `-` and `_` as equal. */
export function moduleName(path: string): string {
  const base = path.slice(path.lastIndexOf("/") + 1);
  return base.replace(/\.ko(\.(xz|zst|gz))?$/, "").replaceAll("-", "_");
}

function parseDep(text: string): Map<string, { path: string; needs: string[] }> {
  const modules = new Map<string, { path: string; needs: string[] }>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const path = line.slice(0, colon);
    const needs = line
      .slice(colon + 1)
      .split(" ")
      .filter((word) => word !== "");
    modules.set(moduleName(path), { path, needs });
  }
  return modules;
}

function parseList(text: string): { boot: string[]; demand: string[] } {
  const wanted = { boot: [] as string[], demand: [] as string[] };
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.replace(/#.*/, "").trim();
    if (line === "") continue;
    const [when, name, rest] = line.split(/\s+/);
    if (name === undefined || rest !== undefined || (when !== "boot" && when !== "demand")) {
      throw new Error(`modules.list line ${index + 1}: expected "boot NAME" or "demand NAME", got "${line}"`);
    }
    wanted[when].push(name);
  }
  return wanted;
}

/** Orders the modules named in `list`. A name that the kernel has neither as a module nor built in is an error. */
export function planModules(list: string, tables: ModuleTables): ModulePlan {
  const wanted = parseList(list);
  const known = parseDep(tables.dep);
  const builtins = new Set(tables.builtin.split("\n").filter(Boolean).map(moduleName));
  const builtin: string[] = [];

  /** The modules with their dependencies, without those that are placed already. */
  const order = (names: readonly string[], placed: Set<string>): string[] => {
    const out: string[] = [];
    const place = (path: string): void => {
      if (placed.has(path)) return;
      placed.add(path);
      for (const need of known.get(moduleName(path))?.needs.toReversed() ?? []) place(need);
      out.push(path);
    };
    for (const name of names) {
      const module = known.get(moduleName(name));
      if (module !== undefined) place(module.path);
      else if (builtins.has(moduleName(name))) builtin.push(name);
      else throw new Error(`this kernel has no module "${name}"; correct deploy/guest/modules.list`);
    }
    return out;
  };
  const atBoot = new Set<string>();
  const boot = order(wanted.boot, atBoot);
  const chains = wanted.demand
    .map((name) => order([name], new Set(atBoot)))
    .filter((chain) => chain.length > 0);
  return { boot, demand: [...new Set(chains.flat())], chains, builtin };
}
