/**
 * Credentials of the api, from files that may be replaced while it runs. If the new files cannot be used together, the previous
 * ones stay in use.
 */
import {
  certificateOf,
  type PeerCredentials,
  type PeerFiles,
  parsePeerCredentials,
  peerPaths,
  type ReadFile,
  type TokenCheck,
  tokenCheck,
  WatchedFiles,
} from "@paddock/rpc";

export type TlsFiles = { readonly certificateFile: string; readonly keyFile: string };
export type Tls = ReturnType<typeof certificateOf>;

/** The files, as the settings name them. */
export type CredentialFiles = {
  readonly tls: TlsFiles | undefined;
  readonly tokenFile: string | undefined;
  readonly stream: PeerFiles;
};

/** A value that may be replaced. */
export type Replaceable<T> = Pick<WatchedFiles<T>, "current" | "onChange">;

export type Credentials = Disposable & {
  readonly tls: Replaceable<Tls> | undefined;
  /** Refuses calls without the current token. */
  readonly checkToken: TokenCheck | undefined;
  readonly stream: Replaceable<PeerCredentials>;
};

/** Called for replaced files, with the setting that names them. */
export type CredentialNews = {
  changed(setting: string): void;
  unusable(setting: string, error: Error): void;
};

/** Reads the files and watches them. Throws an Error for the operator if a file cannot be used. */
export function openCredentials(
  { tls, tokenFile, stream }: CredentialFiles,
  news: CredentialNews,
): Credentials {
  using undo = new DisposableStack();
  const watch = <T>(setting: string, paths: readonly string[], parse: (files: readonly ReadFile[]) => T) => {
    const onProblem = (error: Error) => news.unusable(setting, error);
    const onReload = () => news.changed(setting);
    try {
      return undo.use(new WatchedFiles({ paths, parse, onProblem, onReload }));
    } catch (error) {
      throw new Error(`${setting}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  };
  const token =
    tokenFile === undefined ? undefined : watch("PADDOCK_API_TOKEN_FILE", [tokenFile], parseToken);
  const opened = {
    tls: tls && watch("PADDOCK_API_TLS_CERT_FILE", [tls.certificateFile, tls.keyFile], parseTls),
    checkToken: token && ((authorization: string | undefined) => token.current(authorization)),
    stream: watch(
      stream.kind === "secret" ? "PADDOCK_STREAM_SECRET_FILE" : "PADDOCK_STREAM_TLS_CERT_FILE",
      peerPaths(stream),
      (files) => parsePeerCredentials(files, { kind: "api" }),
    ),
  };
  const open = undo.move();
  return { ...opened, [Symbol.dispose]: () => open.dispose() };
}

function parseTls([certificate, key]: readonly ReadFile[]): Tls {
  if (certificate === undefined || key === undefined) throw new Error("certificate and key belong together");
  return certificateOf(certificate, key);
}

function parseToken([file]: readonly ReadFile[]): TokenCheck {
  const text = file?.bytes.toString("utf8").trim() ?? "";
  if (/^[\x21-\x7e]{16,512}$/.test(text)) return tokenCheck(text);
  throw new Error(`${file?.path} must hold one token of 16 to 512 printable characters`);
}
