/**
 * Server reflection (v1 and v1alpha) and grpc.health.v1, so that grpcurl, buf curl and health probes work without proto files.
 *
 * The libraries of grpc-node implement both. Reflection gets the descriptors as raw bytes and returns them without the options
 * that it does not know, so a client sees services and messages without comments and validation rules. It also describes the
 * health service, and the details of errors, which no service refers to because they are sent in `Any`.
 */
import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { rpcpb, StatusSchema } from "@paddock/protocol";
import { HealthImplementation } from "grpc-health-check";
import { HEALTH_SERVICE, healthDescriptor } from "./health-descriptor.ts";

/** Method paths of the health service, which need no token. */
export const isHealthPath = (path: string): boolean => path.startsWith("/grpc.health.v1.Health/");

/** Adds reflection of the services, the health service, the messages they refer to and the details of errors. */
export function addReflection(server: Server, services: readonly DescService[]): void {
  const files = new Map<string, DescFile>();
  const collect = (file: DescFile): void => {
    if (files.has(file.name)) return;
    files.set(file.name, file);
    for (const dependency of file.dependencies) collect(dependency);
  };
  for (const { file } of [...services, rpcpb.ErrorInfoSchema, StatusSchema]) collect(file);
  const fileDescriptorProtos: Buffer[] = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  fileDescriptorProtos.push(healthDescriptor());
  const descriptors = {
    format: "Protocol Buffer 3 EnumDescriptorProto" as const,
    type: {},
    fileDescriptorProtos,
  };
  const names = [...services.map(({ typeName }) => typeName), HEALTH_SERVICE];
  new ReflectionService({ descriptors }, { services: names }).addToServer(server);
}

/** The health of a server: one status for the whole ("") and for each service. */
export class Health {
  readonly #implementation: HealthImplementation;
  readonly #names: readonly string[];
  #serving = false;

  /** NOT_SERVING until `set(true)`. */
  constructor(services: readonly DescService[]) {
    this.#names = ["", ...services.map(({ typeName }) => typeName)];
    this.#implementation = new HealthImplementation(
      Object.fromEntries(this.#names.map((name) => [name, "NOT_SERVING" as const])),
    );
  }

  get serving(): boolean {
    return this.#serving;
  }

  /** Sets the status for checks and watches. */
  set(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const name of this.#names) {
      this.#implementation.setStatus(name, serving ? "SERVING" : "NOT_SERVING");
    }
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }
}
