import assert from "node:assert/strict";
import { test } from "node:test";
import { formatHostPort, isLoopback, isWildcard, parseHostPort } from "./host-port.ts";

test("an address is a host (a name, an IPv4 or a bracketed IPv6 address) and a port", () => {
  assert.deepEqual(parseHostPort("Node-1.Example.:7071"), { host: "node-1.example", port: 7071 });
  assert.deepEqual(parseHostPort("10.0.0.5:0"), { host: "10.0.0.5", port: 0 });
  assert.deepEqual(parseHostPort("[0:0:0:0:0:0:0:1]:80"), { host: "::1", port: 80 });
  assert.equal(formatHostPort({ host: "::1", port: 80 }), "[::1]:80");
});

for (const text of [
  "unix:/run/x.sock",
  "unix:///run/x.sock",
  "dns:///a:1",
  "ipv4:1.2.3.4:5",
  "a",
  ":1",
  "a:",
  "a:70000",
  "a b:1",
  "user@a:1",
  "::1:80",
  "[::1%lo]:80",
  "[a]:1",
  "0:7071",
  "127.1:7071",
  "0x7f000001:1",
  "0x7f.0.0.1:1",
  "a.0x1:1",
  "2130706433:1",
  "1.2.3.4.5:1",
  "-a:1",
  "a..b:1",
])
  test(`"${text}" is not an address`, () => assert.equal(parseHostPort(text), undefined));

test("loopback and wildcard hosts are recognized in every notation", () => {
  for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]) {
    assert.ok(isLoopback(host), host);
    assert.ok(!isWildcard(host), host);
  }
  for (const host of ["0.0.0.0", "::", "::ffff:0.0.0.0"]) {
    assert.ok(isWildcard(host), host);
    assert.ok(!isLoopback(host), host);
  }
  for (const host of ["10.0.0.1", "127.evil.example", "localhost.evil.example", "fd00::1"])
    assert.ok(!isLoopback(host) && !isWildcard(host), host);
});
