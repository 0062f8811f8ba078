/**
 * Which web pages may call. A browser says in `Origin` where the page is from; without the setting none but our own may, and with it
 * those that are named, by the rules of CORS.
 */
import { cors } from "@connectrpc/connect";

/** Origins as browsers send them, or all of them. */
export type CorsOrigins = ReadonlySet<string> | "*";

/** An origin such as "https://app.example:8443", as a browser would send it. Undefined if it is none. */
export function parseOrigin(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return undefined;
  return text.toLowerCase().replace(/\/$/, "") === url.origin ? url.origin : undefined;
}

/** Where a page is from, and what it asked for. */
export type FromPage = {
  /** The header `origin`. */
  readonly origin: string;
  /** The header `host` or `:authority`. */
  readonly authority: string;
  /** Whether this connection is by TLS. */
  readonly isSecure: boolean;
};

/**
 * Whether the page is from here. Without TLS it may be from the proxy that adds it, so the scheme is not compared then.
 */
export function isSameOrigin({ origin, authority, isSecure }: FromPage): boolean {
  const schemes = isSecure ? ["https"] : ["http", "https"];
  return schemes.some((scheme) => URL.parse(`${scheme}://${authority}`)?.origin === origin);
}

export const isCorsOrigin = (origin: string, origins: CorsOrigins): boolean =>
  origins === "*" || origins.has(origin);

/** Metadata that clients of ours send beside what the protocols do. */
const REQUEST_HEADERS = ["authorization", "paddock-request-id", "traceparent", "tracestate"];
/** How long a browser may remember the answer, in seconds. */
const PREFLIGHT_AGE_S = 600;

/** Headers of every answer to a page that may call. */
export const corsHeaders = (origin: string): Record<string, string> => ({
  "access-control-allow-origin": origin,
  "access-control-expose-headers": cors.exposedHeaders.join(", "),
  vary: "origin",
});

/** Headers of the answer to the question before the call, which has no token yet. */
export const preflightHeaders = (origin: string): Record<string, string> => ({
  ...corsHeaders(origin),
  "access-control-allow-methods": cors.allowedMethods.join(", "),
  "access-control-allow-headers": [...cors.allowedHeaders, ...REQUEST_HEADERS].join(", "),
  // A page from the internet may ask for a host of this network only when it is told so.
  "access-control-allow-private-network": "true",
  "access-control-max-age": String(PREFLIGHT_AGE_S),
});
