/** A certificate authority for tests, with the openssl commands that the README documents. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export type IssuedFiles = {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly caFile: string;
};

export class TestAuthority {
  readonly caFile: string;
  readonly #directory: string;
  readonly #keyFile: string;
  #issued = 0;

  /** Creates its key and certificate in the directory; `name` distinguishes its files from those of another authority. */
  constructor(directory: string, name = "ca") {
    this.#directory = directory;
    this.caFile = join(directory, `${name}.crt`);
    this.#keyFile = join(directory, `${name}.key`);
    openssl(["req", "-x509", ...NEW_KEY, "-days", "1", "-subj", `/CN=${name}`], this.#keyFile, this.caFile);
  }

  /** A certificate with these alternative names, such as "URI:paddock://api". */
  issue(alternativeNames: string): IssuedFiles {
    this.#issued += 1;
    const stem = `${this.caFile}-${this.#issued}`;
    const [certificateFile, keyFile, request, extensions] = [".crt", ".key", ".csr", ".ext"].map(
      (end) => stem + end,
    ) as [string, string, string, string];
    writeFileSync(extensions, `subjectAltName=${alternativeNames}\nbasicConstraints=CA:FALSE\n`);
    openssl(["req", ...NEW_KEY, "-subj", "/CN=paddock"], keyFile, request);
    execFileSync(
      "openssl",
      ["x509", "-req", "-in", request, "-CA", this.caFile, "-CAkey", this.#keyFile, "-CAcreateserial"].concat(
        ["-extfile", extensions, "-out", certificateFile, "-days", "1"],
      ),
      { stdio: "ignore", cwd: this.#directory },
    );
    return { certificateFile, keyFile, caFile: this.caFile };
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

function openssl(args: readonly string[], keyFile: string, out: string): void {
  execFileSync("openssl", [...args, "-keyout", keyFile, "-out", out], { stdio: "ignore" });
}
