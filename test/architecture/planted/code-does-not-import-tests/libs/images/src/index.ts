import { fixture } from "./address.test.ts";

export const address = fixture;
