/**
 * Which part may import which.
 *
 *   services/*  ->  adapters, client  ->  protocol, lifecycle  ->  domain  ->  nothing
 *
 * The adapters are rpc, bus, qemu, cgroups, network, images and telemetry. Within a service, folders import
 * in one direction (`rooms`). Every rule has a small tree under test/architecture/planted/<rule name> that
 * breaks it, and a test that expects the report; a rule without a tree fails that test.
 */

const TEST = "\\.test\\.ts$";
/** What tests stand on: fakes, builders of input. It is in no product, so it may use what only development needs. */
const TEST_BED = "/testing/";
const MECHANISM = "^libs/(?:qemu|cgroups|network|images)/";
const ADAPTER = "^libs/(?:rpc|bus|qemu|cgroups|network|images|telemetry)/";

/** Tests beside the code may import anything, so no arrow starts at one. */
const code = (path) => ({ path, pathNot: TEST });

/**
 * The folders of each service, and what else of the service each may import, together with what that may import in turn. A name
 * that ends in ".ts" is a file of `src/`; "*.ts" is any of them. These files may import any folder; `no-cycles` keeps them apart.
 */
const rooms = {
  api: {
    nodes: [],
    sandboxes: ["nodes"],
    lists: ["nodes", "api-context.ts"],
    streams: ["lists", "sandboxes"],
    events: [],
    handlers: ["streams", "events", "version.ts"],
    listeners: ["credentials.ts"],
  },
  cli: {
    output: ["cli-error.ts"],
    mounts: ["output"],
    client: ["mounts", "command-run.ts", "each-operand.ts"],
    network: ["output"],
    process: ["output", "command-run.ts", "signals.ts"],
    ports: ["cli-error.ts"],
    files: ["client"],
    doctor: ["output", "installation.ts"],
    "local-fleet": ["output", "installation.ts"],
    commands: ["client", "mounts", "network", "process", "ports", "files", "doctor", "local-fleet", "*.ts"],
  },
  node: {
    agent: [],
    vm: ["agent"],
    record: ["vm"],
    store: ["record"],
    wire: ["record"],
    sandboxes: ["store", "wire", "node-log.ts"],
    network: ["record", "node-log.ts"],
    shares: ["record", "node-log.ts"],
    stats: ["sandboxes"],
    logs: ["sandboxes"],
    events: ["sandboxes"],
    volumes: ["sandboxes"],
    devices: ["record"],
    resources: ["volumes", "network", "shares", "devices", "node-context.ts"],
    containers: ["resources", "stats", "logs", "events"],
    limits: ["resources", "stats", "logs", "events"],
    host: ["resources", "stats", "logs", "events", "config.ts"],
    watch: ["containers", "limits", "host"],
    lifecycle: ["watch"],
    recovery: ["lifecycle"],
    handlers: ["recovery", "command.ts"],
    streams: ["recovery"],
  },
};

/** What a folder may import: what its list names, and what those may import. */
const reachable = (folders, room) =>
  folders[room].flatMap((each) => [each, ...(each in folders ? reachable(folders, each) : [])]);

const pathOf = (service, room) =>
  room.endsWith(".ts")
    ? `^services/${service}/src/${room.replace("*", "[^/]+").replace(".ts", "\\.ts$")}`
    : `^services/${service}/src/${room}/`;

const roomRules = Object.entries(rooms).flatMap(([service, folders]) =>
  Object.keys(folders).map((room) => ({
    name: `${service}-${room}`,
    comment: `The folders of services/${service} import in one direction.`,
    from: { path: pathOf(service, room), pathNot: [TEST, TEST_BED] },
    to: {
      path: `^services/${service}/src/`,
      pathNot: [...new Set([room, ...reachable(folders, room)])].map((each) => pathOf(service, each)),
    },
  })),
);

const arrows = [
  {
    name: "services-stand-apart",
    comment: "Services talk over the wire; one never imports another.",
    from: code("^services/([^/]+)/"),
    to: { path: "^services/", pathNot: "^services/$1/" },
  },
  {
    name: "libs-below-services",
    comment: "A library does not know who uses it.",
    from: code("^libs/"),
    to: { path: "^services/" },
  },
  {
    name: "domain-imports-nothing",
    comment: "The domain is pure: no built-in module, no package, no other library.",
    from: code("^libs/domain/"),
    to: { pathNot: "^libs/domain/" },
  },
  {
    name: "foundation-imports-only-domain",
    comment: "protocol and lifecycle rest on the domain alone.",
    from: code("^libs/(protocol|lifecycle)/"),
    to: { path: "^(?:libs|services)/", pathNot: "^libs/(?:$1|domain)/" },
  },
  {
    name: "lifecycle-knows-no-wire",
    comment: "Decisions are made on domain types, never on messages or connections.",
    from: code("^libs/lifecycle/"),
    to: { path: "node_modules/@?(?:bufbuild|connectrpc|grpc|nats-io)/" },
  },
  {
    name: "mechanism-knows-no-policy",
    comment: "qemu, cgroups, network and images know nothing of sandboxes, messages or commands.",
    from: code(MECHANISM),
    to: { path: "^libs/(?:protocol|rpc|bus|lifecycle)/" },
  },
  {
    name: "mechanism-knows-no-wire",
    comment: "qemu, cgroups, network and images know nothing of gRPC or NATS.",
    from: code(MECHANISM),
    to: { path: "node_modules/@?(?:bufbuild|connectrpc|grpc|nats-io)/" },
  },
  {
    name: "adapters-stand-apart",
    comment: "Adapters are wired together by a service, not by one another.",
    from: code("^libs/(rpc|bus|qemu|cgroups|network|images|telemetry)/"),
    to: { path: ADAPTER, pathNot: "^libs/$1/" },
  },
  {
    name: "client-stands-on-protocol",
    comment: "The client is given its transport: it rests on protocol and domain, and on no adapter.",
    from: { path: "^libs/client/", pathNot: [TEST, TEST_BED] },
    to: { path: "^libs/", pathNot: "^libs/(?:client|protocol|domain)/" },
  },
  {
    name: "client-runs-anywhere",
    comment:
      "The client runs in a browser too: no built-in module of Node.js, and of the packages protobuf and Connect.",
    from: { path: "^libs/client/", pathNot: [TEST, TEST_BED] },
    to: { pathNot: "^libs/|node_modules/@(?:bufbuild/protobuf|connectrpc/connect)/" },
  },
  {
    name: "adapters-do-not-know-the-client",
    comment: "The client is for those who use an api, not for what one is made of.",
    from: code("^libs/(?!client/)"),
    to: { path: "^libs/client/" },
  },
  {
    name: "only-through-exports",
    comment: "Another package is entered by what its package.json exports.",
    from: code("^((?:libs|services)/[^/]+)/"),
    to: {
      path: "^(?:libs|services)/",
      pathNot: ["^$1/", "^(?:libs|services)/[^/]+/src/(?:testing/)?index\\.ts$", "^libs/protocol/src/gen/"],
    },
  },
  {
    name: "by-package-name",
    comment: "Another package is named, not reached with ../..",
    from: code("^((?:libs|services)/[^/]+)/"),
    // "local" is a relative import. What is written @paddock/x never is, though it leads to the same file.
    to: { path: "^(?:libs|services)/", pathNot: "^$1/", dependencyTypes: ["local"] },
  },
  {
    name: "code-does-not-import-tests",
    comment: "What ships does not need the tests.",
    from: code("^(?:libs|services)/"),
    to: { path: [TEST, "^test/"] },
  },
  {
    name: "code-does-not-import-test-beds",
    comment: "What ships does not need what tests stand on.",
    from: { path: "^(?:libs|services)/", pathNot: [TEST, TEST_BED] },
    to: { path: TEST_BED, pathNot: "(?:^|/)node_modules/" },
  },
  {
    name: "no-cycles",
    comment: "A cycle is one module in several files.",
    from: {},
    to: { circular: true },
  },
  {
    name: "no-dangling-import",
    comment: "Every import leads to a file or an installed package.",
    from: {},
    to: { couldNotResolve: true },
  },
  {
    name: "declared-dependency",
    comment: "A package that is imported is in the dependencies of the workspace that imports it.",
    from: code("^(?:libs|services)/"),
    to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
  },
  {
    name: "no-dev-dependency-shipped",
    comment: "A package that what ships imports is installed where it runs, not only where it is developed.",
    from: { path: "^(?:libs|services)/", pathNot: [TEST, TEST_BED] },
    to: { dependencyTypes: ["npm-dev"] },
  },
  ...roomRules,
];

export default {
  forbidden: arrows.map((rule) => ({ severity: "error", ...rule })),
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: ["(?:^|/)target/", "^test/architecture/planted/"] },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
      mainFields: ["module", "main", "types"],
      extensions: [".ts", ".js", ".d.ts"],
    },
  },
};
