/** The only writer of links, rules, queues and kernel settings. The plans say what to write. */
import type { Sysctl } from "./link-plan.ts";
import type { RunCommand } from "./run-command.ts";

type Lines = readonly string[];

const text = (lines: Lines): string => `${lines.join("\n")}\n`;

export class HostWriter {
  readonly #run: RunCommand;

  constructor(run: RunCommand) {
    this.#run = run;
  }

  /** Applies all of the rules, or none of them. */
  async rules(lines: Lines, signal?: AbortSignal): Promise<void> {
    if (lines.length > 0) await this.#run({ program: "nft", args: ["-f", "-"], input: text(lines) }, signal);
  }

  /** Runs the lines of `ip` in order, up to the first that the kernel refuses. */
  async links(lines: Lines, signal?: AbortSignal): Promise<void> {
    await this.#batch("ip", lines, signal);
  }

  /** Runs all lines of `ip`, also after one that the kernel refuses. Throws `refused` at the end if there was one. */
  async removeLinks(lines: Lines, signal?: AbortSignal): Promise<void> {
    const args = ["-force", "-batch", "-"];
    if (lines.length > 0) await this.#run({ program: "ip", args, input: text(lines) }, signal);
  }

  async ports(lines: Lines, signal?: AbortSignal): Promise<void> {
    await this.#batch("bridge", lines, signal);
  }

  async queues(lines: Lines, signal?: AbortSignal): Promise<void> {
    await this.#batch("tc", lines, signal);
  }

  /** Runs all lines of `tc`, also after one that the kernel refuses. Throws `refused` at the end if there was one. */
  async queuesInAnyState(lines: Lines, signal?: AbortSignal): Promise<void> {
    const args = ["-force", "-batch", "-"];
    if (lines.length > 0) await this.#run({ program: "tc", args, input: text(lines) }, signal);
  }

  async sysctls(settings: readonly Sysctl[], signal?: AbortSignal): Promise<void> {
    if (settings.length === 0) return;
    const input = text(settings.map(({ key, value }) => `${key} = ${value}`));
    await this.#run({ program: "sysctl", args: ["-q", "-p", "-"], input }, signal);
  }

  async #batch(program: "ip" | "bridge" | "tc", lines: Lines, signal?: AbortSignal): Promise<void> {
    if (lines.length > 0) await this.#run({ program, args: ["-batch", "-"], input: text(lines) }, signal);
  }
}
