/** A real NATS server with JetStream on a free loopback port, for one test. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, watch } from "node:fs";
import { join } from "node:path";

export type NatsServer = {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
  kill(): Promise<void>;
};

export type NatsServerOptions = {
  /** Whether it has JetStream; true by default. */
  readonly jetstream?: boolean;
  /** A configuration, in addition to the address and the options here. */
  readonly configFile?: string;
  readonly env?: Readonly<Record<string, string>>;
};

/** Starts a server that keeps its data below `directory`. A given `port` is reused after a restart. */
export async function startNats(
  directory: string,
  port = -1,
  { jetstream = true, configFile, env = {} }: NatsServerOptions = {},
): Promise<NatsServer> {
  const ports = join(directory, "nats-ports");
  mkdirSync(ports, { recursive: true });
  const written = portsFile(ports);
  const child = spawn(
    "nats-server",
    ["-a", "127.0.0.1", "-p", String(port), "--ports_file_dir", ports].concat(
      jetstream ? ["-js", "-sd", join(directory, "nats")] : [],
      configFile === undefined ? [] : ["-c", configFile],
    ),
    { detached: true, stdio: "ignore", env: { ...process.env, ...env } },
  );
  const exited = once(child, "exit");
  const url = await Promise.race([
    written,
    exited.then(() =>
      Promise.reject(new Error(`nats-server ended with ${child.exitCode ?? child.signalCode}`)),
    ),
  ]);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
  };
  return { url, pid: child.pid ?? 0, stop: () => end("SIGTERM"), kill: () => end("SIGKILL") };
}

/** The client URL in the file that the server writes when it listens. */
function portsFile(directory: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const read = () => {
      const file = readdirSync(directory).find((name) => name.endsWith(".ports"));
      if (!file) return;
      const text = readFileSync(join(directory, file), "utf8");
      if (!text.trimEnd().endsWith("}")) return;
      const url = (JSON.parse(text) as { nats: string[] }).nats[0];
      if (!url) return;
      clearTimeout(timer);
      watcher.close();
      resolve(url);
    };
    const watcher = watch(directory, read);
    const timer = setTimeout(() => {
      watcher.close();
      reject(new Error("nats-server did not listen within 10 s"));
    }, 10_000);
    read();
  });
}
