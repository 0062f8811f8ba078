import { posix } from "node:path";
import { type Digest, parseDigest } from "./digest.ts";
import { ImageError, invalidArchive } from "./image-error.ts";
import { JsonObject } from "./json.ts";

/** How a container of an image runs unless its creator says otherwise (OCI image spec, "config"). */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  /** `NAME=value` strings. */
  readonly env: readonly string[];
  /** Absolute. */
  readonly workingDir: string;
  /** `user[:group]`, names or numbers, resolved against the image's own files; "" means root. */
  readonly user: string;
  /** Such as `SIGTERM` or `15`; "" if the image does not say. */
  readonly stopSignal: string;
  /** Such as `80/tcp`. */
  readonly exposedPorts: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Absolute paths. */
  readonly volumes: readonly string[];
}

export type Architecture = "amd64" | "arm64";

/** An image's config document: what identifies it, and which layers it is made of. */
export interface ImageDocument {
  readonly architecture: string;
  readonly created: string | undefined;
  readonly diffIds: readonly Digest[];
  readonly config: ImageConfig;
}

/** Parses an image's config document. Throws `invalid_archive` or `unsupported`. */
export function parseImageDocument(text: string): ImageDocument {
  const what = "the image config";
  const document = JsonObject.parse(text, what);
  const os = document.string("os") ?? "linux";
  if (os !== "linux")
    throw new ImageError("unsupported", `an image for ${JSON.stringify(os)}`, "only linux images can run");
  const rootfs = document.object("rootfs");
  if (rootfs === undefined) throw invalidArchive(`${what} names no layers`);
  const created = Date.parse(document.string("created") ?? "");
  return {
    architecture: document.requiredString("architecture"),
    created: Number.isNaN(created) ? undefined : new Date(created).toISOString(),
    diffIds: rootfs.strings("diff_ids").map(parseDigest),
    config: parseConfig(document.object("config") ?? JsonObject.of({}, what)),
  };
}

function parseConfig(config: JsonObject): ImageConfig {
  return checkImageConfig({
    entrypoint: config.strings("Entrypoint"),
    cmd: config.strings("Cmd"),
    env: config.strings("Env"),
    workingDir: config.string("WorkingDir") ?? "",
    user: config.string("User") ?? "",
    stopSignal: config.string("StopSignal") ?? "",
    exposedPorts: config.object("ExposedPorts")?.keys() ?? [],
    labels: config.stringMap("Labels"),
    volumes: config.object("Volumes")?.keys() ?? [],
  });
}

/**
 * Fills in and checks a config, whether from an archive or from a caller who imports a bare root file system.
 * Throws `invalid_archive` naming the field.
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
  refuse("Env", checked.env, (variable) => variable.indexOf("=") > 0);
  refuse("User", [checked.user], (user) => /^[^\s]{0,256}$/.test(user));
  refuse("StopSignal", [checked.stopSignal], (signal) => /^(?:[A-Z0-9+-]{1,20})?$/.test(signal));
  refuse("ExposedPorts", checked.exposedPorts, (port) =>
    /^[0-9]{1,5}(?:-[0-9]{1,5})?(?:\/[a-z]{2,5})?$/.test(port),
  );
  refuse("Volumes", checked.volumes, (volume) => volume.startsWith("/"));
  refuse("config", strings(checked), (text) => !text.includes("\0"));
  return checked;
}

function strings(config: ImageConfig): string[] {
  const { entrypoint, cmd, env, workingDir, volumes } = config;
  return [...entrypoint, ...cmd, ...env, workingDir, ...volumes, ...Object.entries(config.labels).flat()];
}

function refuse(field: string, values: readonly string[], valid: (value: string) => boolean): void {
  const wrong = values.find((value) => !valid(value));
  if (wrong !== undefined)
    throw invalidArchive(`the image config: ${field} holds ${JSON.stringify(wrong.slice(0, 100))}`);
}

/** The canonical config document of an image made from a bare root file system; its digest is the image's id. */
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
