/**
 * Prometheus metrics of a service. Labels are bounded by the code (methods, codes), never by users: no sandbox id is one.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** 1 ms to 2 min: an exec through three hops takes a few milliseconds, a cold boot a few seconds. */
const DURATION_BUCKETS_S = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
];

/** The metrics of a service. */
export class Metrics {
  readonly registry = new Registry();
  readonly #durations: Histogram<"method" | "code">;
  readonly #inFlight: Gauge<"method">;
  readonly #bugs: Counter;

  /** Also collects metrics of the process and the lag of the event loop. */
  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.#durations = new Histogram({
      name: "rpc_server_call_duration_seconds",
      help: "Time from a call's first message to its end, by method and gRPC code",
      labelNames: ["method", "code"],
      buckets: DURATION_BUCKETS_S,
      registers,
    });
    this.#inFlight = new Gauge({
      name: "rpc_server_calls_in_flight",
      help: "Calls and streams that are open",
      labelNames: ["method"],
      registers,
    });
    this.#bugs = new Counter({
      name: "paddock_internal_errors_total",
      help: "Calls that failed with an internal error",
      registers,
    });
  }

  /** Counts a call that starts. Call the result with the name of the gRPC code when it ends. */
  callStarted(method: string): (code: string) => void {
    const began = performance.now();
    this.#inFlight.inc({ method });
    return (code) => {
      this.#inFlight.dec({ method });
      this.#durations.observe({ method, code }, (performance.now() - began) / 1000);
    };
  }

  /** Counts an unexpected error. */
  bug(): void {
    this.#bugs.inc();
  }

  /** A gauge whose value is read when metrics are exposed. */
  gauge(name: string, help: string, read: () => number): void {
    const collect = function (this: Gauge) {
      this.set(read());
    };
    new Gauge({ name, help, registers: [this.registry], collect });
  }

  /** The text that Prometheus reads, and its content type. */
  async expose(): Promise<{ readonly contentType: string; readonly text: string }> {
    return { contentType: this.registry.contentType, text: await this.registry.metrics() };
  }
}
