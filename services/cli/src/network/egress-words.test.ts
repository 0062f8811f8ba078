import assert from "node:assert/strict";
import { test } from "node:test";
import { EgressAction, NetworkProtocol } from "@paddock/protocol";
import { parseRules, ruleText } from "./egress-words.ts";

const { UNSPECIFIED, TCP, UDP, ICMP } = NetworkProtocol;

/** `shown` is what a rule is printed as, where that is not as it was given. */
for (const { text, rule, shown } of [
  { text: "any", rule: ["", UNSPECIFIED, 0, 0] },
  { text: "any/icmp", rule: ["", ICMP, 0, 0] },
  { text: "any:25", rule: ["", TCP, 25, 0], shown: "any:25/tcp" },
  { text: "10.0.0.0/8", rule: ["10.0.0.0/8", UNSPECIFIED, 0, 0] },
  { text: "10.0.0.0/8/udp", rule: ["10.0.0.0/8", UDP, 0, 0] },
  { text: "10.0.0.0/8:443/tcp", rule: ["10.0.0.0/8", TCP, 443, 0] },
  { text: "10.0.0.0/8:8000-8010", rule: ["10.0.0.0/8", TCP, 8000, 8010], shown: "10.0.0.0/8:8000-8010/tcp" },
  { text: "10.0.0.0/8:80-80/tcp", rule: ["10.0.0.0/8", TCP, 80, 0], shown: "10.0.0.0/8:80/tcp" },
  { text: "192.0.2.7", rule: ["192.0.2.7/32", UNSPECIFIED, 0, 0], shown: "192.0.2.7/32" },
  { text: "192.0.2.7:53/UDP", rule: ["192.0.2.7/32", UDP, 53, 0], shown: "192.0.2.7/32:53/udp" },
  { text: "2001:db8::/32", rule: ["2001:db8::/32", UNSPECIFIED, 0, 0] },
  { text: "::/0/udp", rule: ["::/0", UDP, 0, 0] },
  { text: "[2001:db8::/32]:53/udp", rule: ["2001:db8::/32", UDP, 53, 0] },
  { text: "[2001:DB8::7]:443", rule: ["2001:db8::7/128", TCP, 443, 0], shown: "[2001:db8::7/128]:443/tcp" },
  { text: "[::1]", rule: ["::1/128", UNSPECIFIED, 0, 0], shown: "::1/128" },
]) {
  test(`"${text}" is a rule, and is printed in words that mean the same`, () => {
    const [parsed] = parseRules([{ action: "deny", text }]);
    assert.ok(parsed);
    assert.equal(parsed.action, EgressAction.DENY);
    assert.deepEqual([parsed.destination, parsed.protocol, parsed.firstPort, parsed.lastPort], rule);
    assert.equal(ruleText(parsed), `deny ${shown ?? text}`);
    assert.deepEqual(parseRules([{ action: "deny", text: ruleText(parsed).slice("deny ".length) }]), [
      parsed,
    ]);
  });
}

for (const { text, says } of [
  { text: "", says: /has no destination/ },
  { text: ":443", says: /has no destination/ },
  { text: "pypi.org:443", says: /is not a range such as/ },
  { text: "10.0.0.1/8", says: /has bits set after its prefix; .* 10\.0\.0\.0\/8/ },
  { text: "10.0.0.0/33", says: /is not a range/ },
  { text: "10.0.0.0/8:0", says: /"0" is not a port from 1 to 65535/ },
  { text: "10.0.0.0/8:70000", says: /"70000" is not a port/ },
  { text: "10.0.0.0/8:90-80", says: /"90-80" is not a port/ },
  { text: "10.0.0.0/8:", says: /"" is not a port/ },
  { text: "any:80/icmp", says: /icmp has no ports/ },
  { text: "any/sctp", says: /"sctp" is not a protocol/ },
  { text: "[2001:db8::]/32:53", says: /brackets enclose a whole range/ },
  { text: "[any]x", says: /brackets enclose a whole range/ },
]) {
  test(`"${text}" is not a rule`, () => {
    assert.throws(() => parseRules([{ action: "allow", text }]), says);
  });
}

test("a policy has at most 256 rules", () => {
  const rules = Array.from({ length: 257 }, () => ({ action: "allow" as const, text: "any" }));
  assert.equal(parseRules(rules.slice(1)).length, 256);
  assert.throws(() => parseRules(rules), /there are 257 rules, and a policy can have 256/);
});
