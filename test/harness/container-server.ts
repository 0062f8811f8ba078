/** A TCP server in a container. */
import { exec } from "./exec.ts";
import type { PaddockClient } from "./stack.ts";

type Place = { readonly sandboxId: string; readonly containerId: string };

/** Serves `port` by `command`, once for each connection. Returns when the port is listening. */
export async function serve(client: PaddockClient, place: Place, port: number, command: string) {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  // State 0A of /proc/net/tcp is LISTEN.
  const script = `
    nc -ll -p ${port} -e ${command} </dev/null >/dev/null 2>&1 &
    until grep -q ':${hex} [0-9A-F]*:0000 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.02; done`;
  await exec(client, ["sh", "-c", script], place);
}
