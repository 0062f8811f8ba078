import type { Message } from "@bufbuild/protobuf";

/** A response without what protobuf adds to it. */
export type Answer<M extends Message> = Omit<M, keyof Message>;
