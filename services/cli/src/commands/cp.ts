import { CliError, EXIT_USAGE } from "../cli-error.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { parseCopyOperand } from "../files/copy-operand.ts";
import { CopyTally } from "../files/copy-tally.ts";
import { printable } from "../output/printable.ts";
import { formatBytes } from "../output/quantities.ts";

type CpOptions = { readonly archive?: true; readonly followLink?: true };

const NOTES = `
SRC and DEST are paths here or SANDBOX[/CONTAINER]:PATH, by the rules of docker cp: a directory that exists gets the
copy below it; "SRC/." is the content of a directory; what does not exist is created under that name, but not the
directories above it. A local name with a colon is written ./NAME. "-" is a tar archive on stdin or stdout.

The container may be stopped, its sandbox runs. Modes, times, links and holes are kept. Without -a, copies belong to
root in a container and to you here. Not kept here: extended attributes, setuid and setgid bits. Sockets and devices
are left out, and FIFOs here. A file takes its name when it is complete, so a copy that fails leaves none that is half.`;

export const cpCommand: CommandDefinition = (bind) => {
  const command = describedCommand("cp", "copy files between this host and containers", [
    "cp app.conf web:/etc/app.conf",
    "cp web:/var/log/app ./logs",
    "cp site/. web/nginx:/usr/share/nginx/html",
    "cp web:/data other:/data",
    "cp web:/etc - | tar -t",
    "tar -c src | paddock cp - build:/src",
  ])
    .argument("<src>", "a path, SANDBOX[/CONTAINER]:PATH, or - for a tar archive on stdin")
    .argument("<dest>", "the same; - writes a tar archive to stdout")
    .option("-a, --archive", "keep owners (uid and gid)")
    .option("-L, --follow-link", "follow a symbolic link in SRC")
    .addHelpText("after", NOTES);
  return bind(command, async (run, { args: [src = "", dest = ""] }) => {
    const { archive = false, followLink = false } = command.opts<CpOptions>();
    const operands = { source: parseCopyOperand(src), destination: parseCopyOperand(dest) };
    // Loaded here, because other commands need none of it.
    const { copyFiles } = await import("../files/copy-files.ts");
    const tally = new CopyTally();
    const options = { ...operands, follow: followLink, keepOwners: archive, tally };
    const verb = operands.destination.kind === "remote" ? "sent" : "copied";
    const before = () => `${verb} before: ${tally.text}`;
    const label = `${printable(src)} to ${printable(dest)}`;
    try {
      await run.progress.phase(
        `copying ${label}`,
        (phase) =>
          copyFiles(run, { ...options, onProgress: (bytes) => phase.update(`${formatBytes(bytes)}`) }),
        () => `copied ${label} (${tally.text})`,
      );
    } catch (error) {
      throw withTally(error, before);
    } finally {
      for (const warning of tally.warnings) run.warn(warning);
      if (run.signal.aborted) run.warn(`interrupted; ${before()}`);
    }
    if (operands.destination.kind === "stream") return;
    const { entries, bytes, skipped, warnings } = tally;
    if (run.isJson) run.printJson({ source: src, destination: dest, entries, bytes, skipped, warnings });
  });
};

/** The same failure, with what was copied before it. */
function withTally(error: unknown, before: () => string): unknown {
  if (!(error instanceof CliError) || error.exitCode === EXIT_USAGE) return error;
  const { exitCode, hint, requestId, cause } = error;
  const details = [...error.details, `  ${before()}`];
  return new CliError(error.message, { exitCode, hint, requestId, details, cause });
}
