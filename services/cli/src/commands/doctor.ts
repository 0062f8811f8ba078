import { resolve } from "node:path";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { type Finding, type HostCheck, perform, type Verdict } from "../doctor/host-check.ts";
import {
  cgroupCheck,
  diskCheck,
  guestCheck,
  guestDirectory,
  kvmCheck,
  memoryCheck,
  rootCheck,
  stateCheck,
} from "../doctor/host-checks.ts";
import { networkCheck } from "../doctor/network-check.ts";
import { natsCheck, programCheck, qemuCheck, virtiofsdCheck } from "../doctor/program-checks.ts";
import { fleetNetwork } from "../local-fleet/fleet-network.ts";
import { stateDirOf } from "../settings.ts";

type DoctorOptions = { readonly stateDir?: string };

export const doctorCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "doctor",
    "check the requirements of a node on this host, and show how to fix what is missing",
    ["doctor", "doctor -o json"],
  ).option("--state-dir <dir>", "state directory (PADDOCK_STATE_DIR; /var/lib/paddock)");
  return bind(command, async (run) => {
    const { env } = run.around;
    const stateDir = resolve(command.opts<DoctorOptions>().stateDir ?? stateDirOf(env));
    const findings: Finding[] = [];
    const network = env.PADDOCK_NETWORK === "off" ? [] : networkChecks(bridgeOf(stateDir, env));
    for (const check of [...checksOf(stateDir, guestDirectory(env)), ...network]) {
      const finding = await perform(check);
      findings.push(finding);
      if (run.isJson) continue;
      if (!run.settings.quiet) run.print(lineOf(run, finding));
      else if (finding.verdict === "missing") run.print(`${finding.name}\n`);
    }
    if (run.isJson) run.printJson(findings);
    if (findings.some(({ verdict }) => verdict === "missing")) run.exitCode = 1;
  });
};

const checksOf = (stateDir: string, guestDir: string): HostCheck[] => [
  rootCheck,
  qemuCheck,
  virtiofsdCheck,
  kvmCheck(guestDir),
  guestCheck(guestDir),
  programCheck("setpriv"),
  programCheck("prlimit"),
  programCheck("sqfstar"),
  programCheck("mke2fs"),
  programCheck("losetup"),
  natsCheck,
  cgroupCheck,
  memoryCheck,
  stateCheck(stateDir),
  diskCheck(stateDir),
];

const bridgeOf = (stateDir: string, env: Readonly<Record<string, string | undefined>>): string =>
  fleetNetwork(stateDir, env).PADDOCK_NETWORK_BRIDGE ?? env.PADDOCK_NETWORK_BRIDGE ?? "paddock0";

const networkChecks = (bridge: string): HostCheck[] => [
  ...(["ip", "bridge", "tc", "nft", "sysctl"] as const).map(programCheck),
  networkCheck(bridge),
];

function lineOf({ colors }: CommandRun, { name, verdict, found, fix }: Finding): string {
  const signs: Readonly<Record<Verdict, string>> = {
    ok: colors.green("✓"),
    warning: colors.yellow("!"),
    missing: colors.red("✗"),
  };
  return `${signs[verdict]} ${name.padEnd(14)} ${found}\n${fix ? `  ${"".padEnd(14)} ${colors.cyan("fix:")} ${fix}\n` : ""}`;
}
