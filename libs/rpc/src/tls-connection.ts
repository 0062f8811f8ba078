import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { credentials } from "@grpc/grpc-js";
import { GrpcConnection } from "./grpc-client.ts";

/**
 * A connection by TLS to "host:port" or "[v6]:port". `ca` is the certificate authority in PEM; without it those of Node.js are
 * trusted.
 *
 * grpc-js sends an IP address as the server's name, which TLS does not allow and Node.js refuses since version 26. So an invalid
 * name is sent instead, and the certificate is checked against the address.
 */
export function tlsConnection(address: string, ca?: Buffer): GrpcConnection {
  const host = address.slice(0, address.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1");
  if (isIP(host) === 0) return new GrpcConnection(address, credentials.createSsl(ca ?? null));
  const verify = {
    checkServerIdentity: (_name: string, certificate: PeerCertificate) =>
      checkServerIdentity(host, certificate),
  };
  return new GrpcConnection(address, credentials.createSsl(ca ?? null, null, null, verify), {
    "grpc.ssl_target_name_override": "address.invalid",
  });
}
