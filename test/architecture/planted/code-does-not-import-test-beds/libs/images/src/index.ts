import { fake } from "./testing/fake.ts";

export const address = fake;
