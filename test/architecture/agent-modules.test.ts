import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { circles, type Order, orderFaults } from "./module-arrows.ts";
import { dependencies, type Sources } from "./rust-modules.ts";
import { trackedFiles } from "./tracked-files.ts";

/** The modules of the agent and of its runtime, from the top: each uses only those after it. */
const AGENT: Order = {
  directory: "",
  rooms: [
    ...["main", "serve", "link", "rpc", "operations", "agent", "container", "machine", "network"],
    ...["forward", "files", "process", "runtime", "events", "uevent", "pb", "log", "sync"],
  ],
};
const RUNTIME: Order = {
  directory: "runtime/",
  rooms: [
    ...["mod", "container", "stage", "launch", "rights", "filesystem", "namespaces", "cgroup"],
    ...["layout", "raw", "error"],
  ],
};

describe("the modules of the agent", () => {
  const source = "services/agent/src/";
  const files = trackedFiles().filter(({ path }) => path.startsWith(source) && path.endsWith(".rs"));
  const found = dependencies(new Map(files.map((file) => [file.path.slice(source.length), file.read()])));

  test("have no circle", () => {
    assert.deepEqual(circles(found), []);
  });

  test("depend on each other in one direction", () => {
    assert.deepEqual([...orderFaults(found, AGENT), ...orderFaults(found, RUNTIME)], []);
  });

  test("are read from the text: imports, paths and re-exports lead to the file with the definition", () => {
    const arrows = new Set(found.map(({ from, to }) => `${from} -> ${to}`));
    assert.ok(arrows.has("runtime/container/exec.rs -> runtime/stage/start.rs"), "through a re-export");
    assert.ok(arrows.has("process/mod.rs -> process/signal.rs"), "by a path in the code");
    assert.ok(arrows.has("operations/create.rs -> runtime/container/create.rs"), "through two modules");
    assert.ok(
      !found.some(({ from }) => from === "runtime/mod.rs"),
      "a mod.rs that only re-exports uses nothing",
    );
  });
});

describe("a planted violation is reported:", () => {
  const crate = (files: Record<string, string>): Sources => new Map(Object.entries(files));

  test("two files that use each other, one by an import and one by a path", () => {
    const planted = crate({
      "main.rs": "mod a; mod b;",
      "a.rs": "use crate::b::{self, Thing}; fn f() { b::g(Thing) }",
      "b.rs": "pub struct Thing; pub fn g(_: Thing) { crate::a::f() }",
    });
    assert.deepEqual(circles(dependencies(planted)), [["a.rs", "b.rs"]]);
  });

  test("circles through a re-export, through super, and through an import under another name", () => {
    const planted = crate({
      "main.rs": "mod a;",
      "a/mod.rs": "mod b; mod c; mod d; pub use b::Thing;",
      "a/b.rs": "use super::c as other; pub struct Thing; fn f() { other::g() }",
      "a/c.rs": "use super::{d::E, /* super::b */ d};",
      "a/d.rs": "pub enum E { A(super::Thing) }",
    });
    assert.deepEqual(circles(dependencies(planted)), [["a/b.rs", "a/c.rs", "a/d.rs"]]);
  });

  test("a module that uses the items of its parent, which uses it", () => {
    const planted = crate({
      "a/mod.rs": "mod b; pub struct Limit; fn f() { b::g() }",
      "a/b.rs": "use super::Limit; pub fn g() {}",
    });
    assert.deepEqual(circles(dependencies(planted)), [["a/b.rs", "a/mod.rs"]]);
  });

  test("an import against the order of the modules, and a module without a place in it", () => {
    const planted = dependencies(
      crate({
        "runtime/mod.rs": "mod error; mod filesystem; mod network; mod stage;",
        "runtime/filesystem/pivot.rs": "use crate::runtime::stage::StageSpec;",
        "runtime/stage/mod.rs": "pub use spec::StageSpec;",
        "runtime/stage/spec.rs": "pub struct StageSpec;",
        "runtime/network/mod.rs": "use super::error::Result;",
        "runtime/error.rs": "pub type Result = ();",
      }),
    );
    assert.deepEqual(circles(planted), []);
    assert.deepEqual(orderFaults(planted, RUNTIME), [
      "runtime/filesystem/pivot.rs uses runtime/stage/spec.rs",
      "runtime/network/mod.rs has no place in the order",
    ]);
  });

  test("but not in comments, in strings, or in code that only tests compile", () => {
    const planted = crate({
      "a.rs": 'use crate::b::Thing; // crate::b\nfn f() -> &\'static str { "crate::b" }',
      "b.rs": `
        pub struct Thing; // crate::a::f
        const TEXT: &str = r#"crate::a::f "{" "#;
        #[cfg(test)]
        use crate::a;
        #[cfg(test)]
        mod tests { use crate::a::f; fn g() { if true { f() } } }
        #[cfg(test)]
        #[path = "b_test.rs"]
        mod more;`,
      "b_test.rs": "use crate::a::f;",
    });
    assert.deepEqual(circles(dependencies(planted)), []);
  });
});
