/** Starts a command with Exec and leaves it running. */
import type { ExecOptions } from "./exec.ts";
import { inSeconds, type PaddockClient } from "./stack.ts";

export type Running = {
  readonly execId: string;
  /** The next piece of its output, stdout or stderr; undefined when the process has ended. */
  next(): Promise<string | undefined>;
};

/** Resolves when the process has started. The process ends by a signal or with its container. The deadline bounds the stream. */
export async function begin(
  client: PaddockClient,
  args: string[],
  options: Omit<ExecOptions, "stdin">,
): Promise<Running> {
  const { sandboxId, containerId, execId = "", deadline = inSeconds(90) } = options;
  const call = client.processes.exec({ deadline });
  const process = { ...options.process, args };
  await call.write({ message: { case: "start", value: { sandboxId, containerId, execId, process } } });
  const responses = call[Symbol.asyncIterator]();
  const first = (await responses.next()).value?.output?.output;
  if (first?.case !== "started") throw new Error(`the first message of an exec is ${first?.case ?? "none"}`);
  return {
    execId: first.value.execId,
    async next() {
      for (let each = await responses.next(); !each.done; each = await responses.next()) {
        const output = each.value.output?.output;
        if (output?.case === "chunk") return Buffer.from(output.value.data).toString();
      }
      return undefined;
    },
  };
}
