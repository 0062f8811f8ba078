import { attach } from "@paddock/qemu";

export const mount = attach;
