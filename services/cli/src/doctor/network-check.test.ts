import assert from "node:assert/strict";
import { test } from "node:test";
import { commandRunner, type RunCommand } from "@paddock/network";
import { perform } from "./host-check.ts";
import { networkCheck } from "./network-check.ts";

const rules =
  (...nftables: readonly unknown[]): RunCommand =>
  async () =>
    JSON.stringify({ nftables });

const forward = { family: "ip", table: "filter", name: "FORWARD", hook: "forward" };

test("a chain that drops packets by default is a problem, with the command that accepts those of sandboxes", async () => {
  const { verdict, found, fix } = await perform(
    networkCheck("paddock0", rules({ chain: { ...forward, policy: "drop" } })),
  );
  assert.equal(verdict, "missing");
  assert.match(found, /"ip filter FORWARD" drop/);
  assert.match(fix ?? "", /^nft insert rule ip filter FORWARD iifname "paddock0" accept && /);
});

test("a chain that accepts is not a problem", async () => {
  const { verdict } = await perform(
    networkCheck("paddock0", rules({ chain: { ...forward, policy: "accept" } })),
  );
  assert.equal(verdict, "ok");
});

test("without nft the package is named", async () => {
  const { found, fix } = await perform(
    networkCheck("paddock0", commandRunner({ prefix: ["no-such-program"] })),
  );
  assert.deepEqual([found, fix], ["nft is not installed", "apt-get install nftables"]);
});
