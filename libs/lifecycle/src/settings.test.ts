import assert from "node:assert/strict";
import { test } from "node:test";
import { absolutePath, decimal, integer, listOf, oneOf, text, trueOrFalse } from "./setting-forms.ts";
import { parseSettings, readSettingTexts, type Settings, settingRows, settingsHelp } from "./settings.ts";

const SETTINGS = {
  PADDOCK_DIR: { ...absolutePath, doc: "where files are kept", default: "/var/x", shownDefault: "x" },
  PADDOCK_SIZE: { ...integer(1, 100), doc: "size of a block", unit: "bytes", default: "10" },
  PADDOCK_RATIO: { ...decimal(1, 2), doc: "ratio" },
  PADDOCK_MODE: { ...oneOf("fast", "slow"), doc: "fast, slow", default: "fast" },
  PADDOCK_SAFE: { ...trueOrFalse, doc: "whether it is safe" },
  PADDOCK_PORTS: { ...listOf("ports", integer(1, 9).parse), doc: "ports", default: "" },
  OTHER_NAME: { ...text, doc: "a name" },
} satisfies Settings;

const parse = (env: NodeJS.ProcessEnv) => parseSettings(SETTINGS, readSettingTexts(SETTINGS, env));

test("settings that are not set, or are empty, have their defaults", () => {
  assert.deepEqual(parse({ PADDOCK_SIZE: "", PATH: "/bin" }), {
    PADDOCK_DIR: "/var/x",
    PADDOCK_SIZE: 10,
    PADDOCK_RATIO: undefined,
    PADDOCK_MODE: "fast",
    PADDOCK_SAFE: undefined,
    PADDOCK_PORTS: [],
    OTHER_NAME: undefined,
  });
});

test("texts become the values of their forms", () => {
  const values = parse({
    PADDOCK_DIR: "/a/../b/.",
    PADDOCK_RATIO: "1.5",
    PADDOCK_SAFE: "true",
    PADDOCK_PORTS: "1, 2,",
    OTHER_NAME: "n",
  });
  assert.equal(values.PADDOCK_DIR, "/b");
  assert.equal(values.PADDOCK_RATIO, 1.5);
  assert.equal(values.PADDOCK_SAFE, true);
  assert.deepEqual(values.PADDOCK_PORTS, [1, 2]);
  assert.equal(values.OTHER_NAME, "n");
});

const refused: [string, string, RegExp][] = [
  ["PADDOCK_DIR", "a/b", /PADDOCK_DIR: "a\/b" is not an absolute path/],
  ["PADDOCK_SIZE", "101", /PADDOCK_SIZE: "101" is not an integer from 1 to 100/],
  ["PADDOCK_SIZE", "1e1", /not an integer/],
  ["PADDOCK_RATIO", ".5", /not a number from 1 to 2/],
  ["PADDOCK_MODE", "FAST", /not one of fast, slow/],
  ["PADDOCK_SAFE", "yes", /not true or false/],
  ["PADDOCK_PORTS", "1,x", /"1,x" is not a list of ports, separated by commas/],
  ["PADDOCK_DIRS", "/x", /PADDOCK_DIRS: no such setting. There are: PADDOCK_DIR, /],
];
for (const [name, value, message] of refused)
  test(`${name}=${value} is refused with the setting's name and the form it must have`, () => {
    assert.throws(() => parse({ [name]: value }), { name: "ConfigError", message });
  });

test("the table and the help show meaning, unit and default", () => {
  assert.deepEqual(settingRows(SETTINGS).slice(0, 3), [
    ["PADDOCK_DIR", "where files are kept", "x"],
    ["PADDOCK_SIZE", "size of a block, in bytes", "10"],
    ["PADDOCK_RATIO", "ratio", ""],
  ]);
  const help = settingsHelp("the service", SETTINGS);
  assert.match(
    help,
    /PADDOCK_SIZE\n {6}size of a block, in bytes \(default: 10\)\n {2}PADDOCK_RATIO\n {6}ratio\n/,
  );
});
