import { create } from "@bufbuild/protobuf";

export const decide = create;
