/** The table of errors in the README at the top: every reason in the code, under its gRPC code, and no other. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ERROR_KINDS, REASON_KINDS } from "@paddock/domain";
import { repositoryRoot } from "../harness/child-service.ts";

const codeOf = (kind: string) => kind.toUpperCase();
const codes = new Set<string>(ERROR_KINDS.map(codeOf));

test("the table of errors has every reason under its code", () => {
  const text = readFileSync(join(repositoryRoot, "README.md"), "utf8");
  const rows = [...text.matchAll(/^\| ([A-Z_, ]+?) +\| (.+?) +\|$/gm)]
    .map(
      ([, codes = "", reasons = ""]) =>
        [codes.split(", "), reasons.match(/\b[A-Z][A-Z_]+\b/g) ?? []] as const,
    )
    .filter(([named]) => named.every((code) => codes.has(code)));
  const reported = rows.flatMap(([named, reasons]) => reasons.map((reason) => [reason, named] as const));
  // A reason with the name of a code stands for an error of another service, without a reason.
  const wanted = Object.entries(REASON_KINDS).filter(
    ([reason, kind]) => !codes.has(reason) || kind === "internal" || kind === "cancelled",
  );
  assert.deepEqual(
    reported.map(([reason]) => reason).toSorted(),
    wanted.map(([reason]) => reason).toSorted(),
  );
  for (const [reason, named] of reported) {
    const kind = REASON_KINDS[reason as keyof typeof REASON_KINDS];
    assert.ok(named.includes(codeOf(kind)), `${reason} is ${kind}`);
  }
});
