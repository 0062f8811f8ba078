/**
 * A test file that imports this first runs in its own network namespace, with everything that it starts: the daemon's bridge,
 * rules and switches are not those of the machine, and no packet leaves the namespace.
 */
import { execFileSync } from "node:child_process";

const MARK = "TEST_RUNS_IN_OWN_NAMESPACE";

if (process.env[MARK] === undefined) {
  const { execPath, execArgv, argv, env } = process;
  process.execve?.("/usr/bin/unshare", ["unshare", "--net", "--", execPath, ...execArgv, ...argv.slice(1)], {
    ...env,
    [MARK]: "yes",
  });
  throw new Error("this Node.js cannot execute another program in its place");
}
execFileSync("ip", ["link", "set", "lo", "up"]);
