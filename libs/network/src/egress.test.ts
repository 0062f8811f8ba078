import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { formatAddress, requireAddress } from "./address.ts";
import { parseCidr } from "./cidr.ts";
import type { EgressRule } from "./egress-policy.ts";
import { type Guest, HOST, PRIVATE, reaches, TestBed, WORLD } from "./testing/test-bed.ts";

const METADATA = "169.254.169.254";

let bed: TestBed;
let guest: Guest;

before(async () => {
  bed = await TestBed.create();
  guest = await bed.addGuest(2);
  await bed.echo(bed.outside, 7000);
  await bed.echo(bed.outside, 53);
  await bed.echo(bed.host, 7000);
});

after(async () => {
  await bed[Symbol.asyncDispose]();
});

/** Which of the places answer, by TCP. */
async function reached(places: Readonly<Record<string, string>>, port = 7000): Promise<readonly string[]> {
  const found = await Promise.all(
    Object.entries(places).map(async ([name, address]) =>
      (await reaches(guest.namespace, [address, port])) ? [name] : [],
    ),
  );
  return found.flat();
}

const PLACES = {
  world: WORLD.v4,
  world6: WORLD.v6,
  private: PRIVATE.v4,
  private6: PRIVATE.v6,
  metadata: METADATA,
  host: HOST.v4,
  host6: HOST.v6,
};

test("public reaches the world, and no private, metadata or host address", async () => {
  assert.deepEqual(await reached(PLACES), ["world", "world6"]);
  assert.equal(await reaches(guest.namespace, [WORLD.v4, 7000, "udp"]), true);
  assert.equal(await reaches(guest.namespace, [WORLD.v6, 7000, "udp"]), true);
});

test("what was refused is counted, and the last packets are listed", async () => {
  const refused = await bed.reader.refused(bed.network);
  assert.ok((refused.get("10.88.0.2")?.packets ?? 0) >= 3);
  const listed = (await bed.reader.refusedPackets(bed.network)).map(
    ({ from, to, protocol, port }) => `${formatAddress(from)} -> ${formatAddress(to)} ${protocol} ${port}`,
  );
  assert.ok(listed.includes(`10.88.0.2 -> ${METADATA} tcp 7000`), listed.join("\n"));
  assert.ok(listed.includes(`fd70:88::2 -> ${PRIVATE.v6} tcp 7000`), listed.join("\n"));
});

test("a refused connection fails at once", async () => {
  const start = performance.now();
  await reaches(guest.namespace, [PRIVATE.v4, 7000], 10);
  assert.ok(performance.now() - start < 5000);
});

test("open reaches private addresses too, and no metadata or host address", async () => {
  await bed.change(guest, { policy: { kind: "open" } });
  assert.deepEqual(await reached(PLACES), ["world", "world6", "private", "private6"]);
});

test("none reaches nothing", async () => {
  await bed.change(guest, { policy: { kind: "none" } });
  assert.deepEqual(await reached(PLACES), []);
});

const rule = (action: "allow" | "deny", to: string, port?: number): EgressRule => ({
  action,
  to: parseCidr(to),
  protocol: port === undefined ? "any" : "tcp",
  ports: port === undefined ? undefined : { first: port, last: port },
});

test("the first rule that matches decides, and the named policy decides for the rest", async () => {
  const rules = [
    rule("allow", `${METADATA}/32`, 7000),
    rule("deny", "198.51.100.0/24", 7000),
    rule("allow", "fd00:77::/64"),
  ];
  await bed.change(guest, { policy: { kind: "rules", rules, otherwise: "public" } });
  assert.deepEqual(await reached(PLACES), ["world6", "private6", "metadata"]);
  assert.deepEqual(await reached(PLACES, 53), ["world", "world6", "private6"]);
  await bed.change(guest, { policy: { kind: "rules", rules, otherwise: "none" } });
  assert.deepEqual(await reached(PLACES), ["private6", "metadata"]);
});

test("the guest's DNS servers are reached at their port, also on a private address", async () => {
  await bed.change(guest, { policy: { kind: "public" }, dns: [PRIVATE.v4, PRIVATE.v6].map(requireAddress) });
  assert.deepEqual(await reached(PLACES, 53), ["world", "world6", "private", "private6"]);
  assert.equal(await reaches(guest.namespace, [PRIVATE.v4, 53, "udp"]), true);
  assert.deepEqual(await reached(PLACES), ["world", "world6"]);
  await bed.change(guest, { dns: [] });
});

for (const address of [WORLD.v4, WORLD.v6])
  test(`a change of policy ends an open connection to ${address}, in both directions`, async () => {
    await bed.change(guest, { policy: { kind: "public" } });
    await using connection = await bed.connection(guest.namespace, [address, 7000]);
    connection.tell("before");
    assert.equal(await connection.line("before", 2000), "before");
    await bed.change(guest, { policy: { kind: "none" } });
    connection.tell("after");
    assert.equal(await connection.line("after", 1000), undefined);
    await bed.change(guest, { policy: { kind: "public" } });
  });
