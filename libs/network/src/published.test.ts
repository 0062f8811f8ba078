import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { requireAddress } from "./address.ts";
import type { Publication } from "./ruleset.ts";
import { type Guest, HOST, reaches, TestBed } from "./testing/test-bed.ts";

let bed: TestBed;
let guest: Guest;
let other: Guest;

before(async () => {
  bed = await TestBed.create();
  guest = await bed.addGuest(2);
  other = await bed.addGuest(3);
  await bed.echo(guest.namespace, 80);
});

after(async () => {
  await bed[Symbol.asyncDispose]();
});

const port = (hostPort: number, more: Partial<Publication> = {}): Publication => ({
  family: 4,
  hostAddress: undefined,
  protocol: "tcp",
  hostPort,
  guestPort: 80,
  ...more,
});

test("a published port is reached from outside and from the host, by TCP and UDP, IPv4 and IPv6", async () => {
  await bed.change(guest, {
    published: [
      port(8080),
      port(8080, { protocol: "udp" }),
      port(8080, { family: 6 }),
      port(8080, { family: 6, protocol: "udp" }),
    ],
  });
  for (const from of [bed.outside, bed.host])
    for (const address of [HOST.v4, HOST.v6])
      for (const protocol of ["tcp", "udp"] as const)
        assert.equal(await reaches(from, [address, 8080, protocol]), true, `${address} ${protocol}`);
  assert.equal(await reaches(bed.host, ["127.0.0.1", 8080]), true);
});

test("a guest does not reach a published port by the host's address", async () => {
  assert.equal(await reaches(other.namespace, [HOST.v4, 8080]), false);
  assert.equal(await reaches(guest.namespace, [HOST.v4, 8080]), false);
});

test("the ports of a guest that are not published cannot be reached from outside", async () => {
  await bed.outside.shell(
    `ip route replace 10.88.0.0/16 via ${HOST.v4}; ip route replace fd70:88::/64 via ${HOST.v6}`,
  );
  assert.equal(await reaches(bed.outside, ["10.88.0.2", 80], 1), false);
  assert.equal(await reaches(bed.outside, ["fd70:88::2", 80], 1), false);
});

test("a port published on one address is reached only by that address", async () => {
  await bed.change(guest, { published: [port(8081, { hostAddress: requireAddress("127.0.0.1") })] });
  assert.equal(await reaches(bed.host, ["127.0.0.1", 8081]), true);
  assert.equal(await reaches(bed.outside, [HOST.v4, 8081], 1), false);
  assert.equal(await reaches(bed.outside, [HOST.v4, 8080], 1), false);
});

test("a published port works under the policy none, and its open connections end when it is no longer published", async () => {
  await bed.change(guest, { policy: { kind: "none" }, published: [port(8080)] });
  await using connection = await bed.connection(bed.outside, [HOST.v4, 8080]);
  connection.tell("before");
  assert.equal(await connection.line("before", 2000), "before");
  await bed.change(guest, { published: [] });
  connection.tell("after");
  assert.equal(await connection.line("after", 1000), undefined);
});

test("one port cannot lead to two guests", async () => {
  await bed.change(guest, { published: [port(8080)] });
  await assert.rejects(bed.change(other, { published: [port(8080)] }), {
    name: "NetworkError",
    kind: "refused",
  });
  assert.equal(await reaches(bed.outside, [HOST.v4, 8080]), true);
});
