/** Options for the network of a sandbox: all of them for `run` and `create`, those of the policy and the rates for `network update`. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { MAX_BYTES_PER_SECOND, MIN_BYTES_PER_SECOND } from "@paddock/network";
import {
  type Bandwidth,
  EgressMode,
  NetworkMode,
  type NetworkPolicy,
  type SandboxSpec,
  type SandboxSpecSchema,
} from "@paddock/protocol";
import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import { collect } from "./command-definition.ts";
import { addressText } from "./network/address-words.ts";
import { parseMode, parseRules, type RuleWords } from "./network/egress-words.ts";
import { parsePublished } from "./network/published-port.ts";
import { printable } from "./output/printable.ts";
import { formatBytes, parseBytes } from "./output/quantities.ts";

type SpecInit = Exclude<MessageInitShape<typeof SandboxSpecSchema>, SandboxSpec>;
type NetworkParts = Pick<SpecInit, "network" | "dns">;
type BandwidthInit = Pick<Bandwidth, "sendBytesPerSecond" | "receiveBytesPerSecond">;
type PolicyInit = { readonly otherwise: EgressMode; readonly rules: ReturnType<typeof parseRules> };

export type PolicyOptions = {
  readonly egress?: string;
  /** The rules of --allow and --deny in the order of the command line: both options have the whole list. */
  readonly allow?: readonly RuleWords[];
  readonly deny?: readonly RuleWords[];
  readonly bandwidthOut?: string;
  readonly bandwidthIn?: string;
};

/** Lists that `network update` replaces as a whole. */
export type ListOptions = {
  readonly publish?: readonly string[];
  readonly peer?: readonly string[];
};

export type NetworkOptions = PolicyOptions &
  ListOptions & {
    readonly network?: string;
    readonly interfaceSlots?: string;
    readonly addHost?: readonly string[];
    readonly dns?: readonly string[];
    readonly dnsSearch?: readonly string[];
    readonly dnsOption?: readonly string[];
  };

export function addPolicyOptions(command: Command): Command {
  const rules: RuleWords[] = [];
  const add = (action: RuleWords["action"]) => (text: string) => {
    rules.push({ action, text });
    return rules;
  };
  return command
    .option(
      "--egress <mode>",
      'what it may reach: "public" (the world without private, link-local and host addresses; the default of a new sandbox), "open" or "none"',
    )
    .option(
      "--allow <DEST[:PORTS][/PROTOCOL]>",
      'allow this, whatever --egress says: DEST is an address, a range or "any", such as "10.0.0.0/8:443/tcp"; may be repeated, and the first of --allow and --deny that matches decides',
      add("allow"),
    )
    .option("--deny <DEST[:PORTS][/PROTOCOL]>", "refuse this; in the form of --allow", add("deny"))
    .option(
      "--bandwidth-out <size>",
      'bytes a second it may send: from 12500, such as "10m" (powers of 1024); "none" for no limit',
    )
    .option("--bandwidth-in <size>", "the same for what it may receive");
}

export const addListOptions = (command: Command): Command =>
  command
    .option(
      "-p, --publish <[ADDRESS:][HOST:]GUEST[/udp]>",
      'lead a port of the node to a port in it, such as "8080:80", "127.0.0.1:8080:80" or "8000-8010:80-90"; without HOST, or with 0, a free one; may be repeated',
      collect,
    )
    .option(
      "--peer <sandbox>",
      "let it talk to this sandbox of the same node, which must name it too; may be repeated",
      collect,
    );

export const addNetworkOptions = (command: Command): Command =>
  addPolicyOptions(
    addListOptions(command)
      .option(
        "--network <mode>",
        '"default" for the network of the node (the default), "none", or "ns:NAME" for the network namespace NAME of the node',
      )
      .option(
        "--interface-slots <n>",
        'how many interfaces "network connect" can add: 1 to 8 (the default is 1)',
      )
      .option("--add-host <NAME:ADDRESS>", "line of /etc/hosts; may be repeated", collect)
      .option("--dns <address>", "DNS server, in place of those of the node; may be repeated", collect)
      .option("--dns-search <domain>", "search domain; may be repeated", collect)
      .option("--dns-option <option>", 'option of the resolver, such as "ndots:2"; may be repeated', collect),
  );

/** What the spec of a sandbox says of its network. `isNewSandbox` says whether one is created. Throws a usage error. */
export function networkParts(options: NetworkOptions, isNewSandbox: boolean): NetworkParts {
  const parts = { ...networkSpec(options), ...dnsSpec(options) };
  if (!isNewSandbox && Object.keys(parts).length > 0)
    throw usageError(
      "the containers of --sandbox share the network that it has",
      '"paddock network update" changes what it may reach',
    );
  return parts;
}

function networkSpec(options: NetworkOptions): NetworkParts {
  const { publish, peer, addHost, interfaceSlots } = options;
  const policy = parsePolicy(options, undefined);
  const bandwidth = parseBandwidth(options, undefined);
  const network = {
    ...(policy && { policy }),
    ...(bandwidth && { bandwidth }),
    ...(publish && { publishedPorts: parsePublished(publish) }),
    ...(peer && { peers: parsePeers(peer) }),
    ...(interfaceSlots && { interfaceSlots: parseCount("--interface-slots", interfaceSlots, 8) }),
    ...(addHost && { extraHosts: atMost("--add-host", 64, addHost).map(hostEntry) }),
  };
  const named = /^ns:(.*)$/s.exec(options.network ?? "")?.[1];
  if (named !== undefined) return { network: { ...network, ...parseNamespace(named) } };
  const mode = parseNetworkMode(options.network);
  if (mode === NetworkMode.NONE && Object.keys(network).length > 0)
    throw usageError(
      "--network none leaves no network for the other options",
      "leave out --network none, or the ports, hosts, rules and rates",
    );
  if (mode === undefined && Object.keys(network).length === 0) return {};
  return { network: { ...network, ...(mode !== undefined && { mode }) } };
}

function parseNamespace(namespace: string) {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/.test(namespace))
    throw usageError(
      `--network: "${printable(namespace)}" is not the name of a network namespace`,
      'write "ns:" and a name of "ip netns list" on the node',
    );
  return { mode: NetworkMode.NAMESPACE, namespace };
}

/** Ids of sandboxes, each once. */
export function parsePeers(texts: readonly string[]): string[] {
  const odd = texts.find((text) => !/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(text));
  if (odd !== undefined) throw usageError(`--peer: "${printable(odd)}" is not the id of a sandbox`);
  return [...atMost("--peer", 64, [...new Set(texts)])];
}

function parseCount(option: string, text: string, most: number): number {
  const count = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : Number.NaN;
  if (count <= most) return count;
  throw usageError(`${option}: "${printable(text)}" is not a number from 1 to ${most}`);
}

function parseNetworkMode(text: string | undefined): NetworkMode | undefined {
  switch (text) {
    case undefined:
      return undefined;
    case "default":
      return NetworkMode.DEFAULT;
    case "none":
      return NetworkMode.NONE;
    default:
      throw usageError(
        `--network: there is no network "${printable(text)}"`,
        'write "default" for the network of the node, "none", or "ns:NAME" for a network namespace of it',
      );
  }
}

/**
 * The policy asked for, as a whole; undefined if none is. Rules without --egress keep the mode of `before`, and --egress without rules
 * has none.
 */
export function parsePolicy(
  { egress, allow, deny }: PolicyOptions,
  before: NetworkPolicy | undefined,
): PolicyInit | undefined {
  const words = allow ?? deny;
  if (egress === undefined && words === undefined) return undefined;
  const kept = before?.otherwise ?? EgressMode.UNSPECIFIED;
  return { otherwise: egress === undefined ? kept : parseMode(egress), rules: parseRules(words ?? []) };
}

/** The rates asked for, undefined if none are. A rate that was not given is that of `before`. */
export function parseBandwidth(
  { bandwidthOut, bandwidthIn }: PolicyOptions,
  before: Bandwidth | undefined,
): BandwidthInit | undefined {
  if (bandwidthOut === undefined && bandwidthIn === undefined) return undefined;
  const rate = (option: string, text: string | undefined, kept: bigint | undefined): bigint =>
    text === undefined ? (kept ?? 0n) : bytesPerSecond(option, text);
  return {
    sendBytesPerSecond: rate("--bandwidth-out", bandwidthOut, before?.sendBytesPerSecond),
    receiveBytesPerSecond: rate("--bandwidth-in", bandwidthIn, before?.receiveBytesPerSecond),
  };
}

function bytesPerSecond(option: string, text: string): bigint {
  if (text === "none" || text === "-1") return 0n;
  const bytes = parseBytes(text);
  if (bytes < MIN_BYTES_PER_SECOND || bytes > MAX_BYTES_PER_SECOND)
    throw usageError(
      `${option} ${text} is not a rate that a sandbox can have`,
      `from ${MIN_BYTES_PER_SECOND} bytes to ${formatBytes(MAX_BYTES_PER_SECOND)} a second, or "none"`,
    );
  return BigInt(bytes);
}

/** "NAME:ADDRESS", or "NAME=ADDRESS". The address may be in brackets. */
function hostEntry(text: string): { name: string; address: string } {
  const [, name, inBrackets, plain = ""] =
    /^([a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?)[:=](?:\[([^\]]*)\]|(.*))$/.exec(text) ?? [];
  const hint = 'write NAME:ADDRESS, such as "db:10.0.0.7" or "db:2001:db8::7"';
  if (name === undefined)
    throw usageError(`--add-host: "${printable(text)}" is not a name and an address`, hint);
  return { name, address: addressText(`--add-host ${name}`, inBrackets ?? plain) };
}

function dnsSpec({ dns, dnsSearch, dnsOption }: NetworkOptions): NetworkParts {
  if (dns === undefined && dnsSearch === undefined && dnsOption === undefined) return {};
  const words = (option: string, max: number, form: RegExp, texts: readonly string[] = []): string[] => {
    const odd = texts.find((text) => !form.test(text));
    if (odd !== undefined)
      throw usageError(`${option}: "${printable(odd)}" has a character that is not allowed`);
    return [...atMost(option, max, texts)];
  };
  return {
    dns: {
      nameservers: atMost("--dns", 3, dns ?? []).map((text) => addressText("--dns", text)),
      searches: words("--dns-search", 6, /^[a-zA-Z0-9._-]{1,253}$/, dnsSearch),
      options: words("--dns-option", 8, /^[a-z0-9:-]{1,64}$/, dnsOption),
    },
  };
}

function atMost(option: string, max: number, texts: readonly string[]): readonly string[] {
  if (texts.length <= max) return texts;
  throw usageError(`${option} is given ${texts.length} times`, `a sandbox can have ${max}`);
}
