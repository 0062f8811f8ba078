/** A client and the fake api that it uses, within the process or over gRPC, for tests that must hold for both. */
import { GrpcConnection, grpcTransport } from "@paddock/rpc";
import { type ApiClient, createApiClient } from "../api-client.ts";
import { FakeApi } from "./fake-api.ts";
import { FakeInProcessApi } from "./fake-in-process-api.ts";
import type { FakeServer } from "./fake-server.ts";

export type ServedClient = AsyncDisposable & { readonly api: FakeServer; readonly client: ApiClient };

export type Serve = (options?: { readonly token?: string }) => Promise<ServedClient>;

const inProcess: Serve = async (options = {}) => {
  const api = new FakeInProcessApi();
  const client = createApiClient({ ...options, transport: api.transport, requestIdPrefix: "test" });
  return { api, client, [Symbol.asyncDispose]: async () => api.cut() };
};

const overGrpc: Serve = async (options = {}) => {
  const api = await FakeApi.start();
  const connection = new GrpcConnection(api.address);
  const client = createApiClient({
    ...options,
    transport: grpcTransport(connection),
    requestIdPrefix: "test",
  });
  const close = async () => {
    connection.close();
    await api[Symbol.asyncDispose]();
  };
  return { api, client, [Symbol.asyncDispose]: close };
};

/** Ways to serve a client, by their name in test titles. */
export const SERVED: Readonly<Record<string, Serve>> = {
  "within the process": inProcess,
  "over gRPC": overGrpc,
};
