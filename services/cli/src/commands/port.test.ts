import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { serveNetwork } from "../testing/fake-network.ts";
import { cli } from "../testing/run-in-process.ts";

test("port lists published ports, all or those that lead to one port", async () => {
  await using api = await FakeApi.start();
  serveNetwork(api);
  assert.equal(
    (await cli(api, ["port", "web"])).out,
    "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n53/udp -> 127.0.0.1:5353\n",
  );
  assert.equal((await cli(api, ["port", "web", "53/udp"])).out, "127.0.0.1:5353\n");
  const { code, err } = await cli(api, ["port", "web", "81"]);
  assert.equal(code, 1);
  assert.match(err, /sandbox "web" has no published port that leads to 81\n/);
});

test("port of a sandbox without a network is an error with a hint", async () => {
  await using api = await FakeApi.start();
  serveNetwork(api);
  const { code, err } = await cli(api, ["port", "alone"]);
  assert.equal(code, 1);
  assert.match(err, /sandbox "alone" has no network\nhint: /);
});

test("a word that is not a port is refused before any call", async () => {
  await using api = await FakeApi.start();
  const { code, err } = await cli(api, ["port", "web", "http"]);
  assert.deepEqual([code, api.calls], [2, []]);
  assert.match(err, /"http" is not a port\nhint: /);
});
