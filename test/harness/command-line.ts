/** The `paddock` command as a separate process, connected to a test's stack. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repositoryRoot } from "./child-service.ts";
import type { Stack } from "./stack.ts";

export const PADDOCK = join(repositoryRoot, "services/cli/bin/paddock");

const TIMEOUT_MS = 120_000;

export type Outcome = { readonly stdout: string; readonly stderr: string; readonly code: number };

export class CommandLine implements Disposable {
  readonly #home = mkdtempSync(join(tmpdir(), "home-"));
  readonly #stack: Pick<Stack, "grpcAddress">;

  constructor(stack: Pick<Stack, "grpcAddress">) {
    this.#stack = stack;
  }

  /** With its own home directory, and the stack's api. */
  get env(): NodeJS.ProcessEnv {
    return { ...process.env, PADDOCK_API: this.#stack.grpcAddress, HOME: this.#home, NO_COLOR: "1" };
  }

  run(args: readonly string[], stdin = ""): Promise<Outcome> {
    const options = { env: this.env, timeout: TIMEOUT_MS, cwd: this.#home };
    return new Promise((resolve) => {
      const child = execFile(PADDOCK, args, options, (error, stdout, stderr) => {
        resolve({ stdout, stderr, code: error ? Number(error.code) : 0 });
      });
      child.stdin?.end(stdin);
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.#home, { recursive: true, force: true });
  }
}
