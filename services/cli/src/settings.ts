/** Options of every command: from the command line, else the environment, else the record of "paddock up". */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import { requireAddress } from "./client/open-api.ts";
import { DEFAULT_STATE_DIR, readFleetRecord } from "./local-fleet/fleet-record.ts";
import { parseSpan } from "./output/quantities.ts";

export const DEFAULT_API = "127.0.0.1:7070";

export type Settings = ReturnType<typeof readSettings>;

/** Adds the options to a command. Every command has them, so that they may precede or follow its name. */
export function addGlobalOptions(command: Command): Command {
  // The `-v` of a command that mounts volumes is docker's.
  const hasOwnV = command.options.some(({ short }) => short === "-v");
  return command
    .option("-o, --output <format>", 'format of stdout: "table" or "json"')
    .option("--api <address>", `address of the api (PADDOCK_API; ${DEFAULT_API})`)
    .option("--token-file <file>", "file with the api's token (PADDOCK_TOKEN_FILE)")
    .option("--tls-ca <file>", "PEM certificate of the authority that signed the api's (PADDOCK_TLS_CA)")
    .option("--timeout <span>", 'time limit of a call, such as "30s"')
    .option("-q, --quiet", "print results only, no progress")
    .option(hasOwnV ? "--verbose" : "-v, --verbose", "show the cause and the stack of an error")
    .option("--no-color", "no colours (NO_COLOR)");
}

type RawSettings = {
  output?: string;
  api?: string;
  tokenFile?: string;
  tlsCa?: string;
  timeout?: string;
  quiet?: boolean;
  verbose?: boolean;
  color?: boolean;
};

type Env = Readonly<Record<string, string | undefined>>;

export function readSettings(command: Command, env: Env, isTerminal: boolean) {
  const raw = mergedOptions(command);
  const output = raw.output ?? "table";
  if (output !== "table" && output !== "json")
    throw usageError(`"${output}" is not a format of output`, 'write "table" or "json"');
  const address = raw.api ?? env.PADDOCK_API ?? readFleetRecord(stateDirOf(env))?.apiAddress ?? DEFAULT_API;
  const tlsCaFile = raw.tlsCa ?? env.PADDOCK_TLS_CA;
  const tokenFile = raw.tokenFile ?? env.PADDOCK_TOKEN_FILE;
  requireAddress(address);
  return {
    output,
    address,
    token: tokenFile === undefined ? undefined : String(readOption(tokenFile, "--token-file")).trim(),
    tlsCa: tlsCaFile === undefined ? undefined : readOption(tlsCaFile, "--tls-ca"),
    timeoutMs: raw.timeout === undefined ? undefined : parseSpan(raw.timeout),
    quiet: raw.quiet === true,
    verbose: raw.verbose === true,
    color: raw.color !== false && env.NO_COLOR === undefined && env.TERM !== "dumb" && isTerminal,
  };
}

export const stateDirOf = (env: Env): string => env.PADDOCK_STATE_DIR || DEFAULT_STATE_DIR;

/** The command's own options override those before its name. --no-color counts in either place. */
function mergedOptions(command: Command): RawSettings {
  let merged: RawSettings = {};
  for (let at: Command | null = command; at; at = at.parent) {
    const opts = at.opts<RawSettings>();
    merged = { ...opts, ...merged, color: merged.color !== false && opts.color !== false };
  }
  return merged;
}

function readOption(file: string, option: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw usageError(`cannot read the file of ${option}: ${why}`);
  }
}
