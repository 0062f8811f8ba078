import assert from "node:assert/strict";
import { SocketAddress } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { type Address, formatAddress, parseAddress } from "./address.ts";
import { contains, formatCidr, overlap, parseCidr } from "./cidr.ts";
import { linkLocalOf, macOf, parseMac } from "./mac.ts";

const addresses = fc.oneof(
  fc.bigInt(0n, (1n << 32n) - 1n).map((value): Address => ({ family: 4, value })),
  fc.bigInt(0n, (1n << 128n) - 1n).map((value): Address => ({ family: 6, value })),
  fc.array(fc.constantFrom(0n, 0n, 1n, 0xffffn), { minLength: 8, maxLength: 8 }).map(
    (groups): Address => ({
      family: 6,
      value: groups.reduce<bigint>((value, group) => (value << 16n) | group, 0n),
    }),
  ),
);

test("an address survives its text, which is the one that the platform writes", () => {
  fc.assert(
    fc.property(addresses, (address) => {
      const text = formatAddress(address);
      assert.deepEqual(parseAddress(text), address);
      const v4InV6 = address.family === 6 && address.value < 1n << 48n;
      if (!v4InV6)
        assert.equal(
          new SocketAddress({ address: text, family: address.family === 4 ? "ipv4" : "ipv6" }).address,
          text,
        );
    }),
  );
});

const texts: readonly [string, string | undefined][] = [
  ["10.0.0.1", "10.0.0.1"],
  ["010.0.0.1", undefined],
  ["10.0.0", undefined],
  ["FD00:0:0::1", "fd00::1"],
  ["::ffff:10.0.0.1", "::ffff:a00:1"],
  ["::", "::"],
  ["fe80::1%eth0", undefined],
  ["1:2:3:4:5:6:7:8:9", undefined],
  ["", undefined],
];

for (const [text, canonical] of texts)
  test(`${JSON.stringify(text)} is ${canonical === undefined ? "no address" : `the address ${canonical}`}`, () => {
    const address = parseAddress(text);
    assert.equal(address === undefined ? undefined : formatAddress(address), canonical);
  });

test("a range contains its first and last address and no other", () => {
  const range = parseCidr("10.1.0.0/30");
  const at = (text: string) => contains(range, parseAddress(text) ?? { family: 4, value: 0n });
  assert.deepEqual(["10.1.0.0", "10.1.0.3", "10.0.255.255", "10.1.0.4", "::"].map(at), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

test("ranges overlap when one contains the other", () => {
  const pairs = [
    ["10.0.0.0/8", "10.1.0.0/16", true],
    ["10.1.0.0/16", "10.0.0.0/8", true],
    ["10.0.0.0/16", "10.1.0.0/16", false],
    ["0.0.0.0/0", "::/0", false],
  ] as const;
  for (const [a, b, expected] of pairs)
    assert.equal(overlap(parseCidr(a), parseCidr(b)), expected, `${a} ${b}`);
});

for (const text of ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "fd00::/129", "x/8", "10.0.0.0/-1"])
  test(`${text} is not a range`, () => {
    assert.throws(() => parseCidr(text), { name: "NetworkError", kind: "invalid" });
  });

test("bits after the prefix are refused, with the range that was meant", () => {
  assert.throws(() => parseCidr("10.0.0.5/24"), { message: /10\.0\.0\.0\/24/ });
  assert.equal(formatCidr(parseCidr("fd00::/8")), "fd00::/8");
});

test("a MAC address is unicast, and written in lower case", () => {
  assert.equal(parseMac("02-AB-00-00-00-01"), "02:ab:00:00:00:01");
  for (const text of [
    "01:00:5e:00:00:01",
    "ff:ff:ff:ff:ff:ff",
    "00:00:00:00:00:00",
    "02:ab",
    "02:ab:00:00:00:0g",
  ])
    assert.throws(() => parseMac(text), { name: "NetworkError", kind: "invalid" }, text);
});

test("a MAC address follows from the IPv4 address, and the link-local address from the MAC address", () => {
  const mac = macOf({ family: 4, value: 0x0a580102n });
  assert.equal(mac, "02:50:0a:58:01:02");
  assert.equal(formatAddress(linkLocalOf(mac)), "fe80::50:aff:fe58:102");
});
