/** The process of the command line: its streams, signals and exit code. */
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

// Caches compiled code for the next command, which then takes a third less time. Without a writable directory nothing is cached.
enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "paddock", "compiled"));
/** How long a slow reader of stdout may take after a signal. */
const FLUSH_MS = 500;
const { runCli } = await import("./program.ts");

// The reader of stdout may close it at any time. Each write reports that; the process continues.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

let isSignalled = false;
for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
  process.once(name, () => {
    isSignalled = true;
  });

const exitCode = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signals: process,
  exit: (code) => process.exit(code),
});
// Pending reads, as from a terminal, must not delay the exit. Pending writes do, unless a signal asked to end.
if (isSignalled) setTimeout(() => process.exit(exitCode), FLUSH_MS);
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
