import assert from "node:assert/strict";
import { test } from "node:test";
import { emulationThreads } from "./emulation-threads.ts";
import { parseQemuVersion } from "./qemu-version.ts";

const threadsOf = (text: string) => emulationThreads(parseQemuVersion(`QEMU emulator version ${text}`));

test("a QEMU that may run code which its guest has changed since gives all vCPUs one thread", () => {
  for (const version of ["7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "8.0.5", "8.1.0", "8.2.10", "9.0.4"])
    assert.equal(threadsOf(version), "shared", version);
});

test("one that cannot gives each vCPU its own", () => {
  for (const version of ["9.1.0", "10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)", "11.0.0"])
    assert.equal(threadsOf(version), "own", version);
});
