import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { brokenArrows, layOut, ruleNames } from "./cruise-tree.ts";
import { repositoryRoot } from "./tracked-files.ts";

const planted = join(import.meta.dirname, "planted");
/** Services whose folders import in one direction. */
const SERVICES_WITH_ROOMS = ["api", "cli", "node"];

describe("the arrows between packages and folders", () => {
  test("hold everywhere in this repository", async () => {
    assert.deepEqual(await brokenArrows(repositoryRoot), []);
  });

  test("each have a planted violation, and every planted violation has a rule", () => {
    assert.deepEqual(readdirSync(planted).sort(), [...ruleNames].sort());
  });

  for (const service of SERVICES_WITH_ROOMS)
    test(`exist for each folder of services/${service}`, () => {
      const sources = readdirSync(join(repositoryRoot, "services", service, "src"), { withFileTypes: true });
      const found = sources.filter((each) => each.isDirectory() && each.name !== "testing");
      const ruled = ruleNames.filter((name) => name.startsWith(`${service}-`));
      assert.deepEqual(ruled.sort(), found.map(({ name }) => `${service}-${name}`).sort());
    });

  for (const rule of readdirSync(planted)) {
    test(`are guarded by ${rule}, which reports its planted violation`, async (t) => {
      const tree = realpathSync(mkdtempSync(join(tmpdir(), "arrows-")));
      t.after(() => rmSync(tree, { recursive: true, force: true }));
      layOut(join(planted, rule), tree);
      const reported = (await brokenArrows(tree)).map((arrow) => arrow.rule);
      assert.ok(reported.includes(rule), `reported: ${reported.join(", ") || "nothing"}`);
    });
  }
});
