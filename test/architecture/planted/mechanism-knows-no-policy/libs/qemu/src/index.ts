import { decide } from "@paddock/lifecycle";

export const boot = decide;
