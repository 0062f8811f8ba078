import { posix } from "node:path";
import { type Digest, parseDigest } from "./digest.ts";
import { ImageError, invalidDocument } from "./image-error.ts";
import { JsonObject } from "./json.ts";

/** How a container of an image runs by default (OCI image spec, "config"). */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  /** `NAME=value` strings. */
  readonly env: readonly string[];
  /** Absolute. */
  readonly workingDir: string;
  /** `user[:group]`, names or numbers, resolved against the image's own files; "" means root. */
  readonly user: string;
  /** Such as `SIGTERM` or `15`; "" if the image has none. */
  readonly stopSignal: string;
  /** Such as `80/tcp`. Malformed entries of an image are left out. */
  readonly exposedPorts: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Absolute paths. Malformed entries of an image are left out. */
  readonly volumes: readonly string[];
}

export type Architecture = "amd64" | "arm64";

/** An image's config document. It identifies the image and lists its layers. */
export interface ImageDocument {
  /** "" if the document has none. */
  readonly architecture: string;
  readonly created: string | undefined;
  readonly diffIds: readonly Digest[];
  readonly config: ImageConfig;
  /** Problems that are no reason to refuse the image, for a person to read. */
  readonly warnings: readonly string[];
}

const what = "the image config";
/** The config is bounded, because it is stored, listed and sent to each guest. */
const maxConfigBytes = 1024 ** 2;
const maxConfigStrings = 10_000;

/** Names of architectures from `uname -m`. */
const architectureAliases: Readonly<Record<string, string>> = { x86_64: "amd64", aarch64: "arm64" };

/** The usual name of an architecture. */
export const normalArchitecture = (text: string): string =>
  Object.hasOwn(architectureAliases, text) ? (architectureAliases[text] ?? text) : text;

/** Parses an image's config document. Throws `invalid_archive` or `unsupported`. */
export function parseImageDocument(text: string): ImageDocument {
  const document = JsonObject.parse(text, what);
  const os = document.string("os") || "linux";
  if (os !== "linux")
    throw new ImageError("unsupported", `an image for ${quoteText(os)}`, "only linux images can run");
  const rootfs = document.object("rootfs");
  if (rootfs === undefined) throw invalidDocument(what, "it has no list of layers (rootfs)");
  const created = Date.parse(document.text("created") ?? "");
  return {
    architecture: normalArchitecture(document.string("architecture") ?? ""),
    created: Number.isNaN(created) ? undefined : new Date(created).toISOString(),
    diffIds: rootfs.strings("diff_ids").map(parseDigest),
    ...parseConfig(document.object("config") ?? JsonObject.of({}, what)),
  };
}

/** Leaves out what other engines ignore. A warning reports entries that a container could miss. */
function parseConfig(config: JsonObject): Pick<ImageDocument, "config" | "warnings"> {
  const env = config.strings("Env");
  const warnings = env
    .filter((variable) => !isVariable(variable))
    .map(
      (variable) =>
        `${what}: Env holds ${quoteText(variable)}, which does not set a variable and is left out`,
    );
  const checked = checkImageConfig({
    entrypoint: config.words("Entrypoint"),
    cmd: config.words("Cmd"),
    env: env.filter(isVariable),
    workingDir: config.string("WorkingDir") ?? "",
    user: config.string("User") ?? "",
    stopSignal: normalSignal(config.string("StopSignal") ?? ""),
    exposedPorts: (config.object("ExposedPorts")?.keys() ?? []).filter(isPort),
    labels: config.stringMap("Labels"),
    volumes: (config.object("Volumes")?.keys() ?? []).filter(isVolume),
  });
  return { config: checked, warnings: warnings.slice(0, maxWarnings) };
}

const maxWarnings = 20;
const isVariable = (text: string): boolean => text.indexOf("=") > 0;
const isPort = (text: string): boolean => /^[0-9]{1,5}(?:-[0-9]{1,5})?(?:\/[a-z]{2,5})?$/.test(text);
const isVolume = (text: string): boolean => text.startsWith("/");

/** Normalises a signal name; accepts `sigquit` and `RTMIN+3`, as docker does. */
function normalSignal(text: string): string {
  const upper = text.toUpperCase();
  return /^(?:SIG|[0-9]|$)/.test(upper) ? upper : `SIG${upper}`;
}

/**
 * Fills in defaults and checks a config, from an archive or from the importer of a bare root file system. Throws `invalid_archive`,
 * which names the field, or `too_large`.
 */
export function checkImageConfig(config: Partial<ImageConfig>): ImageConfig {
  const checked: ImageConfig = {
    entrypoint: config.entrypoint ?? [],
    cmd: config.cmd ?? [],
    env: config.env ?? [],
    workingDir: posix.resolve("/", config.workingDir ?? ""),
    user: config.user ?? "",
    stopSignal: config.stopSignal ?? "",
    exposedPorts: [...(config.exposedPorts ?? [])].sort(),
    labels: config.labels ?? {},
    volumes: [...(config.volumes ?? [])].sort(),
  };
  refuseLarge(checked);
  refuse("Env", checked.env, isVariable);
  refuse("User", [checked.user], (user) => /^[^\s]{0,256}$/.test(user));
  refuse("StopSignal", [checked.stopSignal], (signal) => /^(?:[A-Za-z0-9+-]{1,20})?$/.test(signal));
  refuse("ExposedPorts", checked.exposedPorts, isPort);
  refuse("Volumes", checked.volumes, isVolume);
  refuse("config", strings(checked), (text) => !text.includes("\0"));
  return checked;
}

function refuseLarge(config: ImageConfig): void {
  const texts = [...strings(config), ...config.exposedPorts, config.user];
  const bytes = texts.reduce((sum, text) => sum + text.length, 0);
  if (texts.length > maxConfigStrings || bytes > maxConfigBytes)
    throw new ImageError(
      "too_large",
      `${what} has ${texts.length} strings of ${bytes} bytes`,
      `the limit is ${maxConfigStrings} strings and ${maxConfigBytes} bytes`,
    );
}

function strings(config: ImageConfig): string[] {
  const { entrypoint, cmd, env, workingDir, volumes } = config;
  return [...entrypoint, ...cmd, ...env, workingDir, ...volumes, ...Object.entries(config.labels).flat()];
}

function refuse(field: string, values: readonly string[], valid: (value: string) => boolean): void {
  const wrong = values.find((value) => !valid(value));
  if (wrong !== undefined) throw invalidDocument(what, `${field} holds ${quoteText(wrong)}`);
}

const quoteText = (text: string): string => JSON.stringify(text.slice(0, 100));

/** The canonical config document for a bare root file system. Its digest is the image's id. */
export function writeImageDocument(
  config: ImageConfig,
  architecture: Architecture,
  diffIds: readonly Digest[],
): string {
  return JSON.stringify({
    architecture,
    os: "linux",
    rootfs: { type: "layers", diff_ids: diffIds },
    config: {
      Entrypoint: config.entrypoint,
      Cmd: config.cmd,
      Env: config.env,
      WorkingDir: config.workingDir,
      User: config.user,
      StopSignal: config.stopSignal,
      ExposedPorts: Object.fromEntries(config.exposedPorts.map((port) => [port, {}])),
      Labels: Object.fromEntries(Object.entries(config.labels).sort(([a], [b]) => (a < b ? -1 : 1))),
      Volumes: Object.fromEntries(config.volumes.map((volume) => [volume, {}])),
    },
  });
}
