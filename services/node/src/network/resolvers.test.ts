import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hostResolver, parseResolver } from "./resolvers.ts";

test("name servers and search domains are read, without name servers that only the host can reach", () => {
  const text =
    "# made by hand\nsearch a.example b.example\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver 2001:db8::53\n";
  assert.deepEqual(parseResolver(text), {
    nameservers: ["192.0.2.1", "2001:db8::53"],
    searches: ["a.example", "b.example"],
  });
});

test("behind a stub resolver the real name servers are found, if there are any", async () => {
  const directory = await mkdtemp(join(tmpdir(), "resolvers-"));
  const [stub, real] = [join(directory, "stub"), join(directory, "real")];
  await writeFile(stub, "nameserver 127.0.0.53\n");
  await writeFile(real, "nameserver 192.0.2.1\n");
  assert.deepEqual((await hostResolver([stub, real])).nameservers, ["192.0.2.1"]);
  assert.deepEqual((await hostResolver([stub, join(directory, "none")])).nameservers, []);
  await rm(directory, { recursive: true });
});
