/**
 * Which web pages may call. A browser sends the page's origin in `Origin`. Without the setting only pages of the api's own origin
 * may call; with it, also pages of the named origins, by the rules of CORS.
 */
import { cors } from "@connectrpc/connect";

/** Origins as browsers send them, or every origin. */
export type CorsOrigins = ReadonlySet<string> | "*";

/** An origin such as "https://app.example:8443", as a browser sends it. Undefined if `text` is not an origin. */
export function parseOrigin(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return undefined;
  return text.toLowerCase().replace(/\/$/, "") === url.origin ? url.origin : undefined;
}

/** A request of a web page. */
export type FromPage = {
  /** The header `origin`. */
  readonly origin: string;
  /** The header `host` or `:authority`. */
  readonly authority: string;
  /** Whether the connection has TLS. */
  readonly isSecure: boolean;
};

/** Whether the page has the api's own origin. Without TLS a proxy may add it, so the scheme is not compared then. */
export function isSameOrigin({ origin, authority, isSecure }: FromPage): boolean {
  const schemes = isSecure ? ["https"] : ["http", "https"];
  return schemes.some((scheme) => URL.parse(`${scheme}://${authority}`)?.origin === origin);
}

export const isCorsOrigin = (origin: string, origins: CorsOrigins): boolean =>
  origins === "*" || origins.has(origin);

/** Headers that Paddock's clients send in addition to those of the protocols. */
const REQUEST_HEADERS = ["authorization", "paddock-request-id", "traceparent", "tracestate"];
/** How long a browser may cache a preflight answer. */
const PREFLIGHT_AGE_S = 600;

/** Headers of each answer to a page that may call. */
export const corsHeaders = (origin: string): Record<string, string> => ({
  "access-control-allow-origin": origin,
  "access-control-expose-headers": cors.exposedHeaders.join(", "),
  vary: "origin",
});

/** Headers of the answer to a preflight request, which carries no token. */
export const preflightHeaders = (origin: string): Record<string, string> => ({
  ...corsHeaders(origin),
  "access-control-allow-methods": cors.allowedMethods.join(", "),
  "access-control-allow-headers": [...cors.allowedHeaders, ...REQUEST_HEADERS].join(", "),
  // Browsers let a page from the internet call a private network only with this header.
  "access-control-allow-private-network": "true",
  "access-control-max-age": String(PREFLIGHT_AGE_S),
});
