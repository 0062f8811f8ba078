import assert from "node:assert/strict";
import { test } from "node:test";
import { checkQemu, parseQemuVersion, refusalOf } from "./qemu-version.ts";

const versions: [string, "accepted" | RegExp][] = [
  ["QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "accepted"],
  ["QEMU emulator version 7.2.11 (Debian 1:7.2+dfsg-7+deb12u6)", "accepted"],
  ["QEMU emulator version 7.2.9 (Debian 1:7.2+dfsg-7+deb12u5)", /CVE-2024-3446/],
  ["QEMU emulator version 7.2.0 (Debian 1:7.2+dfsg-7)", /CVE-2024-3446/],
  ["QEMU emulator version 7.2.11", "accepted"],
  ["QEMU emulator version 7.2.10", /CVE-2024-3446/],
  ["QEMU emulator version 8.0.5", /CVE-2024-3446/],
  ["QEMU emulator version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1.7)", /CVE-2024-3446/],
  ["QEMU emulator version 8.2.3", "accepted"],
  ["QEMU emulator version 9.0.0", "accepted"],
  ["QEMU emulator version 10.0.3 (Debian 1:10.0.3+ds-0+deb13u1)", "accepted"],
  ["QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11+deb11u3)", /too old/],
];
for (const [line, expected] of versions) {
  test(`${line} is ${expected === "accepted" ? "accepted" : "refused"}`, () => {
    const refusal = refusalOf(parseQemuVersion(`${line}\nCopyright (c) 2003-2022\n`));
    if (expected === "accepted") assert.equal(refusal, undefined);
    else assert.match(refusal ?? "", expected);
  });
}

test("the package version is read when the distribution shows it", () => {
  const version = parseQemuVersion("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)");
  assert.deepEqual(version, { major: 7, minor: 2, micro: 22, packaged: "1:7.2+dfsg-7+deb12u18+b3" });
});

test("another program's output is not parsed as a version", () => {
  assert.throws(() => parseQemuVersion("GNU bash, version 5.2"), { kind: "unsupported-qemu" });
});

test("the error for a missing QEMU has its path", async () => {
  await assert.rejects(checkQemu("/nonexistent/qemu"), { kind: "unsupported-qemu", message: /nonexistent/ });
});

test("this host's QEMU is accepted", async () => {
  assert.ok((await checkQemu("qemu-system-x86_64")).major >= 7);
});
