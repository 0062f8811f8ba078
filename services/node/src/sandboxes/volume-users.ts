/**
 * Which sandboxes use which volumes of this node: one that writes, or any number that read.
 *
 * A use follows from the record of its sandbox. A claim is a use without a record yet. Check and claim are one synchronous step,
 * so of two sandboxes that want to write, exactly one gets the volume.
 */
import { PaddockError } from "@paddock/domain";
import type { VolumeUse } from "../record/volume-record.ts";

export type VolumeUser = { readonly sandboxId: string; readonly readOnly: boolean };

/** Numbers of uses by one sandbox. */
type Counts = { readers: number; writers: number };

/** Users named in an error. */
const NAMED_USERS = 16;

export class VolumeUsers {
  readonly #counts = new Map<string, Map<string, Counts>>();
  /** Volumes that are being copied. */
  readonly #copied = new Map<string, number>();

  /** The users of a volume, in order of id. */
  of(volume: string): VolumeUser[] {
    return [...(this.#counts.get(volume) ?? [])]
      .map(([sandboxId, { writers }]) => ({ sandboxId, readOnly: writers === 0 }))
      .sort((a, b) => (a.sandboxId < b.sandboxId ? -1 : 1));
  }

  /** Claims volumes for a sandbox until disposed of. Throws VOLUME_IN_USE, and then claims none. */
  claim(sandboxId: string, wanted: readonly VolumeUse[]): Disposable {
    for (const use of wanted) this.#requireFree(sandboxId, use);
    return this.add(sandboxId, wanted);
  }

  /** Counts uses that a record has, until disposed of. */
  add(sandboxId: string, uses: readonly VolumeUse[]): Disposable {
    const counted = new DisposableStack();
    for (const use of uses) counted.use(this.#count(sandboxId, use));
    return counted;
  }

  /** Keeps a volume unchanged while it is copied, until disposed of. Throws VOLUME_IN_USE if a sandbox can write to it. */
  claimCopy(volume: string): Disposable {
    const writers = this.of(volume).filter(({ readOnly }) => !readOnly);
    if (writers.length > 0) throw inUse(volume, writers, "and can write to it");
    this.#copied.set(volume, (this.#copied.get(volume) ?? 0) + 1);
    const copying = new DisposableStack();
    copying.defer(() => {
      const left = (this.#copied.get(volume) ?? 1) - 1;
      if (left === 0) this.#copied.delete(volume);
      else this.#copied.set(volume, left);
    });
    return copying;
  }

  /** Throws VOLUME_IN_USE if a sandbox uses the volume or it is being copied. */
  requireUnused(volume: string): void {
    const users = this.of(volume);
    if (users.length > 0) throw inUse(volume, users, "");
    if (this.#copied.has(volume)) throw beingCopied(volume);
  }

  #requireFree(sandboxId: string, { volume, readOnly }: VolumeUse): void {
    const others = this.of(volume).filter((user) => user.sandboxId !== sandboxId);
    const inTheWay = readOnly ? others.filter((user) => !user.readOnly) : others;
    if (inTheWay.length > 0) throw inUse(volume, inTheWay, readOnly ? "and can write to it" : "");
    if (!readOnly && this.#copied.has(volume)) throw beingCopied(volume);
  }

  #count(sandboxId: string, { volume, readOnly }: VolumeUse): Disposable {
    const users = this.#counts.get(volume) ?? new Map<string, Counts>();
    this.#counts.set(volume, users);
    const counts = users.get(sandboxId) ?? { readers: 0, writers: 0 };
    users.set(sandboxId, counts);
    const key = readOnly ? "readers" : "writers";
    counts[key] += 1;
    const counted = new DisposableStack();
    counted.defer(() => {
      counts[key] -= 1;
      if (counts.readers + counts.writers > 0) return;
      users.delete(sandboxId);
      if (users.size === 0) this.#counts.delete(volume);
    });
    return counted;
  }
}

function inUse(volume: string, users: readonly VolumeUser[], how: string): PaddockError {
  const ids = users.slice(0, NAMED_USERS).map(({ sandboxId }) => sandboxId);
  const [noun, verb] = users.length === 1 ? ["sandbox", "uses"] : ["sandboxes", "use"];
  return new PaddockError(
    "VOLUME_IN_USE",
    `${noun} ${ids.join(", ")} ${verb} volume ${volume}${how === "" ? "" : ` ${how}`}`,
    {
      hint: "delete the sandboxes, or mount the volume read-only everywhere",
      metadata: {
        volume,
        writers: named(users.filter(({ readOnly }) => !readOnly)),
        readers: named(users.filter(({ readOnly }) => readOnly)),
      },
    },
  );
}

const named = (users: readonly VolumeUser[]): string =>
  users
    .slice(0, NAMED_USERS)
    .map(({ sandboxId }) => sandboxId)
    .join(",");

const beingCopied = (volume: string): PaddockError =>
  new PaddockError("VOLUME_IN_USE", `volume ${volume} is being copied`, {
    hint: "repeat the call when the copy is complete",
    metadata: { volume },
    retryAfterMs: 1000,
  });
