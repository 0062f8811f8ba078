/** A certificate authority and its certificates, for tests of TLS. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export type Certificate = { readonly cert: string; readonly key: string };

const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "ignore" });
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Creates an authority below `directory`, and returns the paths of its files. */
export function makeAuthority(directory: string, name = "ca"): Certificate {
  const [cert, key] = [join(directory, `${name}.pem`), join(directory, `${name}.key`)];
  openssl("req", "-x509", ...KEY, "-days", "2", "-subj", `/CN=${name}`, "-keyout", key, "-out", cert);
  return { cert, key };
}

/** Creates a certificate for names such as "DNS:localhost,IP:127.0.0.1". */
export function makeCertificate(
  directory: string,
  name: string,
  authority: Certificate,
  altNames: string,
): Certificate {
  const [cert, key] = [join(directory, `${name}.pem`), join(directory, `${name}.key`)];
  const [request, extensions] = [join(directory, `${name}.csr`), join(directory, `${name}.ext`)];
  writeFileSync(extensions, `subjectAltName=${altNames}\n`);
  openssl("req", "-new", ...KEY, "-subj", `/CN=${name}`, "-keyout", key, "-out", request);
  openssl(
    ...["x509", "-req", "-in", request, "-CA", authority.cert, "-CAkey", authority.key],
    ...["-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", cert],
  );
  return { cert, key };
}
