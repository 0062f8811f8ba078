import assert from "node:assert/strict";
import { test } from "node:test";
import { NetworkProtocol } from "@paddock/protocol";
import { parsePublished, portsText } from "./published-port.ts";

const { TCP, UDP } = NetworkProtocol;

for (const { text, wanted } of [
  { text: "80", wanted: [["", 0, 80, TCP]] },
  { text: "0:80", wanted: [["", 0, 80, TCP]] },
  { text: "8080:80", wanted: [["", 8080, 80, TCP]] },
  { text: "5353:53/udp", wanted: [["", 5353, 53, UDP]] },
  { text: "80/TCP", wanted: [["", 0, 80, TCP]] },
  { text: "127.0.0.1:8080:80", wanted: [["127.0.0.1", 8080, 80, TCP]] },
  { text: "127.0.0.1::80", wanted: [["127.0.0.1", 0, 80, TCP]] },
  { text: "127.0.0.1:80", wanted: [["127.0.0.1", 0, 80, TCP]] },
  { text: "[::1]:8080:80", wanted: [["::1", 8080, 80, TCP]] },
  { text: "[2001:DB8:0::1]::53/udp", wanted: [["2001:db8::1", 0, 53, UDP]] },
  {
    text: "8000-8001:80-81",
    wanted: [
      ["", 8000, 80, TCP],
      ["", 8001, 81, TCP],
    ],
  },
  {
    text: "80-81",
    wanted: [
      ["", 0, 80, TCP],
      ["", 0, 81, TCP],
    ],
  },
]) {
  test(`"${text}" is a port to publish`, () => {
    assert.deepEqual(
      parsePublished([text]).map((each) => [each.hostAddress, each.hostPort, each.guestPort, each.protocol]),
      wanted,
    );
  });
}

for (const { text, says } of [
  { text: "", says: /is not a port to publish/ },
  { text: "0", says: /is not a port to publish/ },
  { text: "70000", says: /ports are from 1 to 65535/ },
  { text: "70000:80", says: /ports are from 1 to 65535/ },
  { text: "http", says: /is not a port to publish/ },
  { text: "-80", says: /is not a port to publish/ },
  { text: "1:2:3", says: /is not a port to publish/ },
  { text: "90-80", says: /is not a port to publish/ },
  { text: "8000-8010:80", says: /the two ranges differ in length/ },
  { text: "8080:80-90", says: /the two ranges differ in length/ },
  { text: "80/sctp", says: /"sctp" is not a protocol that can be published/ },
  { text: "80/icmp", says: /"icmp" is not a protocol/ },
  { text: "localhost:8080:80", says: /"localhost" is not an IP address/ },
  { text: "1.2.3:80:80", says: /"1.2.3" is not an IP address/ },
  { text: "::1:8080:80", says: /is not a port to publish/ },
  { text: "[127.0.0.1]:80:80", says: /only IPv6 addresses have brackets/ },
  { text: "[::1]", says: /is not a port to publish/ },
  { text: "[fe80::1%eth0]:80:80", says: /is not an IP address/ },
  { text: "1-65535", says: /--publish names 65535 ports, and a sandbox can have 64/ },
]) {
  test(`"${text}" is not a port to publish`, () => {
    assert.throws(() => parsePublished([text]), says);
  });
}

test("a port of the host is given once for each address and protocol, a free one as often as wanted", () => {
  assert.equal(parsePublished(["53:53", "53:53/udp", "127.0.0.1:53:54", "80", "80"]).length, 5);
  assert.throws(() => parsePublished(["8080:80", "8080:81"]), /names port 8080\/tcp of the host twice/);
  assert.throws(
    () => parsePublished(["[::1]:8080:80", "[0::1]:8080:81"]),
    /port \[::1\]:8080\/tcp of the host twice/,
  );
});

test("ports are shown as docker shows them, ports in a row as a range", () => {
  assert.equal(portsText([]), "");
  assert.equal(portsText(parsePublished(["8080:80"])), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
  assert.equal(portsText(parsePublished(["[::1]:5353:53/udp"])), "[::1]:5353->53/udp");
  assert.equal(
    portsText(parsePublished(["127.0.0.1:9000:90", "127.0.0.1:8000-8010:80-90", "127.0.0.1:7000:91"])),
    "127.0.0.1:8000-8010->80-90/tcp, 127.0.0.1:9000->90/tcp, 127.0.0.1:7000->91/tcp",
  );
});
