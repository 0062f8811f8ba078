/** Sends an image to the fleet and shows the progress. */
import { PaddockError } from "@paddock/domain";
import { type Image, ImageFormat, ImportPhase, type ImportProgress } from "@paddock/protocol";
import type { CommandRun } from "./command-run.ts";
import { openImageSource } from "./image-source.ts";
import { printable } from "./output/printable.ts";
import type { Phase } from "./output/progress.ts";
import { formatBytes } from "./output/quantities.ts";

export type ImportOptions = {
  readonly name?: string | undefined;
  readonly format?: ImageFormat | undefined;
  readonly command?: readonly string[] | undefined;
};

export async function importImage(
  run: CommandRun,
  path: string,
  options: ImportOptions = {},
): Promise<Image> {
  const source = openImageSource(path, run.around.stdin);
  const { image, warnings } = await run.progress.phase(
    `importing ${source.label}`,
    async (phase) => {
      try {
        return await transfer(run, source, options, phase);
      } catch (error) {
        throw run.explain(error, { what: `import ${source.label}` });
      }
    },
    ({ image }) =>
      `imported ${image.names[0] ?? image.imageId} (${formatBytes(image.sizeBytes)} on the node)`,
  );
  for (const warning of warnings) run.warn(printable(warning));
  return image;
}

type Imported = { readonly image: Image; readonly warnings: readonly string[] };

async function transfer(
  run: CommandRun,
  source: ReturnType<typeof openImageSource>,
  options: ImportOptions,
  phase: Phase,
): Promise<Imported> {
  const start = {
    name: options.name ?? (source.format === ImageFormat.ROOTFS ? source.suggestedName : ""),
    format: options.format ?? source.format,
    totalBytes: BigInt(source.totalBytes),
    ...(options.command?.length ? { config: { command: [...options.command] } } : {}),
  };
  let sourceFailure: unknown;
  const requests = async function* () {
    yield { message: { case: "start" as const, value: start } };
    try {
      for await (const data of source.chunks) yield { message: { case: "data" as const, value: data } };
    } catch (error) {
      sourceFailure = error;
      throw error;
    }
  };
  const left = new AbortController();
  const { signal = left.signal, ...callOptions } = run.callOptions();
  const call = { ...callOptions, signal: AbortSignal.any([signal, left.signal]) };
  try {
    for await (const { message, warnings } of run.api.images.importImage(requests(), call)) {
      if (message.case === "image") return { image: message.value, warnings };
      if (message.case === "progress") phase.update(progressText(message.value));
    }
    throw new PaddockError("UNAVAILABLE", "the api ended the import without an answer");
  } catch (error) {
    // When the source fails, the api only sees that the transfer ended.
    throw sourceFailure ?? error;
  } finally {
    left.abort();
  }
}

const PHASES: Readonly<Record<ImportPhase, string>> = {
  [ImportPhase.UNSPECIFIED]: "import",
  [ImportPhase.RECEIVE]: "receive",
  [ImportPhase.VERIFY]: "verify",
  [ImportPhase.CONVERT]: "convert",
};

function progressText(progress: ImportProgress): string {
  const done = formatBytes(progress.doneBytes);
  const name = PHASES[progress.phase] ?? PHASES[ImportPhase.UNSPECIFIED];
  if (progress.totalBytes === 0n) return `${name} ${done}`;
  const share = Math.min(1, Number(progress.doneBytes) / Number(progress.totalBytes));
  const filled = Math.round(share * 20);
  return `${name} ${"━".repeat(filled)}${"╌".repeat(20 - filled)} ${done} of ${formatBytes(progress.totalBytes)}`;
}
