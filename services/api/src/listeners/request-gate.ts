/**
 * Checks each request before the HTTP port serves it, both pages and calls. Refuses requests for an unknown host and requests of
 * web pages of other origins. Errors have the form of the Connect protocol, which clients and people can read.
 */

import { errorToJson } from "@connectrpc/connect/protocol-connect";
import type { connectNodeAdapter } from "@connectrpc/connect-node";
import { PaddockError } from "@paddock/domain";
import { toConnectError } from "@paddock/protocol";
import type { HostPort } from "@paddock/rpc";
import {
  type CorsOrigins,
  corsHeaders,
  isCorsOrigin,
  isSameOrigin,
  preflightHeaders,
} from "./cross-origin.ts";
import { isKnownHost, type KnownHosts, parseAuthority } from "./known-hosts.ts";

type Handler = ReturnType<typeof connectNodeAdapter>;
type Request = Parameters<Handler>[0];
type Response = Parameters<Handler>[1];

export type GateRules = {
  readonly hosts: KnownHosts;
  readonly corsOrigins: CorsOrigins;
  /** Whether the port has TLS. */
  readonly isSecure: boolean;
};

/** How a request is served. A preflight is answered with the headers alone. */
type Passed = { readonly isPreflight: boolean; readonly headers: Readonly<Record<string, string>> };
const PASSED: Passed = { isPreflight: false, headers: {} };

/** The handler, preceded by the check. */
export const gated =
  (handler: Handler, rules: GateRules): Handler =>
  (request, response) => {
    const verdict = judge(request, rules);
    if (verdict instanceof PaddockError) {
      refuse(request, response, verdict);
    } else if (verdict.isPreflight) {
      response.writeHead(204, verdict.headers);
      response.end();
    } else {
      for (const [name, value] of Object.entries(verdict.headers)) response.setHeader(name, value);
      handler(request, response);
    }
  };

function judge(request: Request, rules: GateRules): Passed | PaddockError {
  const authority = authorityOf(request);
  if (authority === undefined || !isOurs(authority, request, rules)) return foreignHost(authority);
  const [origin, ...others] = valuesOf(request, "origin");
  if (origin === undefined) return isFromOtherSite(request) ? foreignOrigin("another site") : PASSED;
  if (others.length > 0) return foreignOrigin([origin, ...others].join(", "));
  if (isSameOrigin({ origin, authority, isSecure: rules.isSecure })) return PASSED;
  if (!isCorsOrigin(origin, rules.corsOrigins)) return foreignOrigin(origin);
  const isPreflight =
    request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
  return { isPreflight, headers: isPreflight ? preflightHeaders(origin) : corsHeaders(origin) };
}

/** The host that a request names, from all places that can name it. Undefined if it names none or several. */
function authorityOf(request: Request): string | undefined {
  const named = [...valuesOf(request, ":authority"), ...valuesOf(request, "host")];
  if (request.httpVersionMajor < 2 && named.length !== 1) return undefined;
  const url = request.url ?? "";
  if (!url.startsWith("/") && url !== "*") named.push(URL.parse(url)?.host ?? "");
  const [authority] = named;
  return named.every((each) => each === authority) ? authority : undefined;
}

function isOurs(authority: string, { socket }: Request, { hosts, isSecure }: GateRules): boolean {
  const asked = parseAuthority(authority, isSecure ? 443 : 80);
  const local: HostPort = { host: socket.localAddress ?? "", port: socket.localPort ?? 0 };
  return asked !== undefined && isKnownHost(asked, local, hosts);
}

/** All values of a header. Node.js keeps only the first `host` in `headers`. */
function valuesOf({ rawHeaders }: Request, wanted: string): string[] {
  return rawHeaders.flatMap((name, index) =>
    index % 2 === 0 && name.toLowerCase() === wanted ? [rawHeaders[index + 1] ?? ""] : [],
  );
}

/** A page can make its browser send a GET without `origin`, as for an image. A person who follows a link is not refused. */
function isFromOtherSite({ headers, method }: Request): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== "cross-site" && site !== "same-site") return false;
  return !(headers["sec-fetch-mode"] === "navigate" && (method === "GET" || method === "HEAD"));
}

const MAX_SHOWN = 200;
const shown = (text: string): string => JSON.stringify(text.slice(0, MAX_SHOWN));

const foreignHost = (authority: string | undefined): PaddockError =>
  new PaddockError(
    "HOST_NOT_ALLOWED",
    authority === undefined
      ? "the request must name one host, in `Host` or `:authority`"
      : `the request is for the host ${shown(authority)}, which is not this api`,
    { hint: "use the address that the api listens on, or add the host to PADDOCK_API_ALLOWED_HOSTS" },
  );

const foreignOrigin = (origin: string): PaddockError =>
  new PaddockError("ORIGIN_NOT_ALLOWED", `web pages of ${shown(origin)} may not call this api`, {
    hint: "to allow them, add the origin to PADDOCK_API_CORS_ORIGINS",
  });

function refuse(request: Request, response: Response, error: PaddockError): void {
  const { hint, reason } = error;
  const body = JSON.stringify({ ...errorToJson(toConnectError(error), undefined), hint });
  // The body of the request is not read, so the connection cannot be used again.
  if (request.httpVersionMajor < 2) response.setHeader("connection", "close");
  response.setHeader("content-type", "application/json");
  response.setHeader("x-content-type-options", "nosniff");
  response.writeHead(reason === "HOST_NOT_ALLOWED" ? 421 : 403);
  response.end(request.method === "HEAD" ? "" : `${body}\n`);
}
