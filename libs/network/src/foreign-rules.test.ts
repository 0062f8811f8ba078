import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { foreignRules } from "./foreign-rules.ts";
import { type Guest, reaches, TestBed, WORLD } from "./testing/test-bed.ts";

/** Tables as other programs write them, and what their operator would do about the finding. */
const programs = [
  {
    name: "Docker",
    rules: `
      table ip filter {
        chain DOCKER-USER { counter return
        }
        chain DOCKER-FORWARD { oifname "docker0" ct state related,established counter accept
        }
        chain FORWARD { type filter hook forward priority filter; policy drop;
          counter jump DOCKER-USER
          counter jump DOCKER-FORWARD
        }
      }`,
    finding: {
      family: "ip",
      table: "filter",
      chain: "FORWARD",
      remedy:
        "iptables -I DOCKER-USER -i paddock0 -j ACCEPT && iptables -I DOCKER-USER -o paddock0 -j ACCEPT",
    },
    repair: ["iifname", "oifname"].map(
      (key) => `insert rule ip filter DOCKER-USER ${key} "paddock0" counter accept`,
    ),
  },
  {
    name: "firewalld",
    rules: `
      table inet firewalld {
        chain filter_FORWARD_ZONES { iifname "eth9" goto filter_FWD_public
        }
        chain filter_FWD_public { return
        }
        chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
          ct state { established, related } accept
          jump filter_FORWARD_ZONES
          ct state { invalid } drop
          reject with icmpx admin-prohibited
        }
      }`,
    finding: {
      family: "inet",
      table: "firewalld",
      chain: "filter_FORWARD",
      remedy: "firewall-cmd --permanent --zone=trusted --add-interface=paddock0 && firewall-cmd --reload",
    },
    repair: ["iifname", "oifname"].map(
      (key) => `insert rule inet firewalld filter_FORWARD_ZONES ${key} "paddock0" accept`,
    ),
  },
];

let bed: TestBed;
let guest: Guest;

before(async () => {
  bed = await TestBed.create();
  guest = await bed.addGuest(2);
  await bed.echo(bed.outside, 7000);
});

after(async () => {
  await bed[Symbol.asyncDispose]();
});

const findings = async () => foreignRules(await bed.reader.allRules(), "paddock0");

test("the node's own tables are no finding", async () => {
  assert.deepEqual(await findings(), []);
});

for (const { name, rules, finding, repair } of programs)
  test(`rules like those of ${name} are a finding with a remedy, and none once the remedy is applied`, async () => {
    await bed.writer.rules([rules]);
    assert.deepEqual(await findings(), [finding]);
    assert.equal(await reaches(guest.namespace, [WORLD.v4, 7000], 1), false);
    await bed.writer.rules(repair);
    assert.deepEqual(await findings(), []);
    assert.equal(await reaches(guest.namespace, [WORLD.v4, 7000]), true);
    await bed.writer.rules([`delete table ${finding.family} ${finding.table}`]);
  });

test("a chain of another program that drops only what it names is no finding", async () => {
  await bed.writer.rules([
    `table ip other { chain forward { type filter hook forward priority 0; policy accept; ip daddr 192.0.2.1 drop; counter
    }
  }`,
  ]);
  assert.deepEqual(await findings(), []);
  await bed.writer.rules(["delete table ip other"]);
});
