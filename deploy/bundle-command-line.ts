/**
 * Bundles the command line into `services/cli/dist`, because it starts in a third of the time without several hundred modules to find and read.
 * `services/cli/bin/paddock` takes the bundle unless a source is newer.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { build, type Plugin } from "esbuild";

/** Generated files of validation rules. The api validates, the command line does not, and reading them takes a tenth of its start. */
const RULES: Readonly<Record<string, string>> = {
  file_buf_validate_validate: "buf/validate/validate.proto",
  file_paddock_v1_rules: "paddock/v1/rules.proto",
};

/** Replaces the files of rules by empty ones of the same name. */
const withoutRules: Plugin = {
  name: "without-rules",
  setup({ onLoad }) {
    for (const [symbol, name] of Object.entries(RULES)) {
      const file = toBinary(
        FileDescriptorProtoSchema,
        create(FileDescriptorProtoSchema, { name, syntax: "proto3" }),
      );
      const text = Buffer.from(file).toString("base64");
      onLoad({ filter: new RegExp(`/libs/protocol/src/gen/${name.replace(".proto", "_pb\\.js")}$`) }, () => ({
        contents: `import { fileDesc } from "@bufbuild/protobuf/codegenv2";\nexport const ${symbol} = fileDesc("${text}");`,
        resolveDir: import.meta.dirname,
      }));
    }
  },
};

const commandLine = join(import.meta.dirname, "../services/cli");
const outdir = join(commandLine, "dist");
rmSync(outdir, { recursive: true, force: true });
await build({
  entryPoints: [join(commandLine, "src/main.ts")],
  outdir,
  bundle: true,
  splitting: true,
  minifySyntax: true,
  minifyWhitespace: true,
  format: "esm",
  platform: "node",
  target: "node24",
  plugins: [withoutRules],
  // CommonJS packages call `require` for modules of Node.js.
  banner: {
    js: 'import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);',
  },
  logLevel: "warning",
});
