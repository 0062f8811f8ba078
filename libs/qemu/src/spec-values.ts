/** Checks of single values of a MachineSpec. Each throws QemuError `invalid-spec` with what is wrong, or returns the value as QEMU takes it. */
import { QemuError } from "./qemu-error.ts";

export const MIB = 1024 * 1024;

const ID = /^[a-zA-Z][a-zA-Z0-9_.-]{0,30}$/;

export function check(condition: boolean, what: string): void {
  if (!condition) throw new QemuError("invalid-spec", `cannot describe the machine to QEMU: ${what}`);
}

/** QEMU splits option strings at commas; a doubled comma is a literal one. */
export function value(text: string): string {
  check(text !== "" && !/\p{Cc}/u.test(text), `empty or unprintable value ${JSON.stringify(text)}`);
  return text.replaceAll(",", ",,");
}

export function path(text: string): string {
  check(
    text.startsWith("/") && !text.split("/").includes(".."),
    `${JSON.stringify(text)} is not an absolute path`,
  );
  return value(text);
}

export function id(text: string): string {
  check(ID.test(text), `"${text}" is not a device id`);
  return text;
}

export function integer(n: number, min: number, max: number, what: string): number {
  check(Number.isSafeInteger(n) && n >= min && n <= max, `${what} is ${n}, expected ${min} to ${max}`);
  return n;
}

/** A descriptor that QEMU inherits. A path could be replaced; see `listening-socket.ts`. */
export const descriptor = (fd: number): number => integer(fd, 3, 1023, "descriptor");

export function mebibytes(bytes: number, what: string): number {
  check(bytes % MIB === 0, `${what} is ${bytes} bytes, not a multiple of 1 MiB`);
  return integer(bytes / MIB, 1, 16 * 1024 * 1024, `${what} in MiB`);
}
