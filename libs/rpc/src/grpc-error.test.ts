import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, status } from "@grpc/grpc-js";
import { fromServiceError } from "./grpc-error.ts";

const ended = (details: string) =>
  fromServiceError({ code: status.INTERNAL, details, metadata: new Metadata() });

test("a call whose connection ended before its status came may be made again", () => {
  assert.equal(ended("Received RST_STREAM with code 0 (Call ended without gRPC status)").kind, "unavailable");
});

test("any other internal error of the transport is one", () => {
  assert.equal(ended("Received RST_STREAM with code 2 (Internal server error)").kind, "internal");
});
