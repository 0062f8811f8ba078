import assert from "node:assert/strict";
import { test } from "node:test";
import { shareServerOf, shareServerWords } from "./share-server.ts";

const spec = {
  cover: "/state/vms",
  mountPoint: "/state/vms/0123456789abcdef/share0",
  readOnly: false,
  uid: 1000,
  gid: 100,
};

test("a server is confined by a mount namespace, then by the owner's user, then by a user namespace", () => {
  const words = shareServerWords(spec);
  const script = words[7];
  assert.deepEqual(words.toSpliced(7, 1), [
    ...["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", "sh"],
    ...["/state/vms", "/state/vms/0123456789abcdef/share0", "remount,bind,nosuid,nodev"],
    ...["setpriv", "--reuid=1000", "--regid=100", "--clear-groups", "--no-new-privs"],
    ...["--inh-caps=-all", "--bounding-set=-all", "--"],
    ...["unshare", "--user", "--map-root-user", "--"],
    ...["/usr/lib/qemu/virtiofsd", "--fd=3", "-f", "--rlimit-nofile=0", "-o"],
    "source=/state/vms/0123456789abcdef/share0,sandbox=namespace,cache=auto,no_posix_lock,no_flock,no_xattr," +
      "modcaps=-mknod:-setfcap,log_level=warn",
  ]);
  assert.match(script ?? "", /mount --no-canonicalize --bind \. "\$2"/);
});

test("a read-only share is read-only on the host", () => {
  const added = shareServerWords({ ...spec, readOnly: true }).filter(
    (word) => !shareServerWords(spec).includes(word),
  );
  assert.deepEqual(added, ["remount,bind,nosuid,nodev,ro"]);
});

test("a server is recognised by its mount point, also below a directory with a comma", () => {
  for (const vms of ["/state/vms", "/a,sandbox=namespace/vms"]) {
    const words = shareServerWords({ ...spec, cover: vms, mountPoint: `${vms}/0123456789abcdef/share0` });
    assert.equal(shareServerOf(words, vms), "0123456789abcdef/share0");
    assert.equal(shareServerOf(words, `${vms}2`), undefined);
  }
});

test("a path that is not absolute is refused", () => {
  for (const mountPoint of ["state", "/state/../etc"])
    assert.throws(() => shareServerWords({ ...spec, mountPoint }), { kind: "invalid-spec" });
});
