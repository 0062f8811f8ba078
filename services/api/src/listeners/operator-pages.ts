import type { connectNodeAdapter } from "@connectrpc/connect-node";
import type { TokenCheck } from "@paddock/rpc";

/** Pages that operators and probes read over plain HTTP. */
export type OperatorPages = {
  /** Whether the api accepts calls. */
  readonly isReady: () => boolean;
  /** What is missing while the api is not ready; undefined if it is. */
  readonly notReady: () => string | undefined;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
};

/** Requests and responses of HTTP/1.1 and HTTP/2, as connect-node types them. */
type Request = Parameters<ReturnType<typeof connectNodeAdapter>>[0];
type Response = Parameters<ReturnType<typeof connectNodeAdapter>>[1];

type Page = { readonly status: number; readonly contentType: string; readonly text: string };

const plain = (status: number, text: string): Page => ({
  status,
  contentType: "text/plain; charset=utf-8",
  text,
});

/** /healthz: the process runs. /readyz: the api accepts calls. /metrics: for Prometheus; needs the token if one is set. */
export function serveOperatorPage(
  request: Request,
  response: Response,
  pages: OperatorPages,
  checkToken: TokenCheck | undefined,
): void {
  pageOf(request, pages, checkToken)
    .catch(() => plain(500, "internal error\n"))
    .then(({ status, contentType, text }) => {
      response.writeHead(status, { "content-type": contentType, "x-content-type-options": "nosniff" });
      response.end(request.method === "HEAD" ? "" : text);
    })
    .catch(() => response.destroy());
}

async function pageOf(
  request: Request,
  pages: OperatorPages,
  checkToken: TokenCheck | undefined,
): Promise<Page> {
  if (request.method !== "GET" && request.method !== "HEAD") return plain(404, "not found\n");
  switch (request.url?.split("?")[0]) {
    case "/healthz":
      return plain(200, "ok\n");
    case "/readyz":
      return pages.isReady()
        ? plain(200, "ready\n")
        : plain(503, `not ready: ${pages.notReady() ?? "shutting down"}\n`);
    case "/metrics":
      if (!isAllowed(request, checkToken)) return plain(401, "a token is needed\n");
      return { status: 200, ...(await pages.metrics()) };
    default:
      return plain(404, "not found\n");
  }
}

function isAllowed(request: Request, checkToken: TokenCheck | undefined): boolean {
  try {
    checkToken?.(request.headers.authorization);
    return true;
  } catch {
    return false;
  }
}
