/** The process: our streams, our exit code. */
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

// Compiled code is kept from one command to the next: a third less time for each. Where it cannot be kept it is not.
enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "paddock", "compiled"));
/** For a reader that is slow or has stopped, when a signal told us to end. */
const FLUSH_MS = 500;
const { runCli } = await import("./program.ts");

// The reader of our output may leave at any time; that is told to the writer of each piece, not to the process.
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
// Reads that are pending, as of a terminal, must not keep us; writes must, unless we were told to end.
if (isSignalled) setTimeout(() => process.exit(exitCode), FLUSH_MS);
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
