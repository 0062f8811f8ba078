/**
 * What a sandbox may reach, in words: `--egress MODE` and rules as `--allow DEST[:PORT[-PORT]][/PROTOCOL]`.
 *
 * DEST is an address, a range such as 10.0.0.0/8, or "any". IPv6 is in brackets when ports follow. Ports without a protocol
 * are those of TCP. A rule is printed in the words in which it is given.
 */
import { formatCidr } from "@paddock/network";
import { EgressAction, EgressMode, type EgressRule, NetworkProtocol } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";
import { beforePort, portRange, rangeOf } from "./address-words.ts";

/** The words of an option, and which of the two it is. */
export type RuleWords = { readonly action: "allow" | "deny"; readonly text: string };

type Rule = Omit<EgressRule, "$typeName" | "$unknown">;

/** The protocol takes so many in one policy. */
const MAX_RULES = 256;
const FORM =
  'write DEST[:PORT[-PORT]][/tcp|udp|icmp], such as "10.0.0.0/8", "192.0.2.7:443", "[2001:db8::/32]:53/udp" or "any:25"';

const MODES: ReadonlyMap<string, EgressMode> = new Map([
  ["public", EgressMode.PUBLIC],
  ["open", EgressMode.OPEN],
  ["none", EgressMode.NONE],
]);

const PROTOCOLS: ReadonlyMap<string, NetworkProtocol> = new Map([
  ["tcp", NetworkProtocol.TCP],
  ["udp", NetworkProtocol.UDP],
  ["icmp", NetworkProtocol.ICMP],
]);

export function parseMode(text: string): EgressMode {
  const mode = MODES.get(text);
  if (mode === undefined)
    throw usageError(
      `--egress: "${printable(text)}" is not what a sandbox may reach`,
      'write "public", "open" or "none"',
    );
  return mode;
}

export const modeText = (mode = EgressMode.UNSPECIFIED): string =>
  [...MODES].find(([, each]) => each === mode)?.[0] ?? "public";

/** The rules in the order of the command line. Throws a usage error. */
export function parseRules(words: readonly RuleWords[]): Rule[] {
  if (words.length > MAX_RULES)
    throw usageError(`there are ${words.length} rules, and a policy can have ${MAX_RULES}`, "join ranges");
  return words.map(parseRule);
}

function parseRule({ action, text }: RuleWords): Rule {
  const what = `--${action} ${printable(text)}`;
  const [, body = "", protocolName] = /^(.*?)(?:\/([a-zA-Z]\w*))?$/s.exec(text) ?? [];
  const named = protocolName === undefined ? undefined : PROTOCOLS.get(protocolName.toLowerCase());
  if (protocolName !== undefined && named === undefined)
    throw usageError(`${what}: "${printable(protocolName)}" is not a protocol`, "tcp, udp or icmp");
  const { destination, portsText } = splitPorts(what, body);
  const ports = portsText === undefined ? undefined : portRange(portsText, 1);
  if (portsText !== undefined && ports === undefined)
    throw usageError(`${what}: "${printable(portsText)}" is not a port from 1 to 65535, nor a range`, FORM);
  if (ports !== undefined && named === NetworkProtocol.ICMP)
    throw usageError(`${what}: icmp has no ports`, "leave out the port, or the protocol");
  return {
    action: action === "allow" ? EgressAction.ALLOW : EgressAction.DENY,
    destination: destination === "any" ? "" : formatCidr(rangeOf(what, destination)),
    protocol: named ?? (ports === undefined ? NetworkProtocol.UNSPECIFIED : NetworkProtocol.TCP),
    firstPort: ports?.first ?? 0,
    lastPort: ports === undefined || ports.last === ports.first ? 0 : ports.last,
  };
}

/** Of more than one colon without brackets all belong to an IPv6 address. */
function splitPorts(what: string, body: string): { destination: string; portsText: string | undefined } {
  if (body.startsWith("[")) {
    const [, destination, portsText] = /^\[([^\]]+)\](?::(.+))?$/s.exec(body) ?? [];
    if (destination === undefined)
      throw usageError(`${what}: brackets enclose a whole range, and a port may follow`, FORM);
    return { destination, portsText };
  }
  const [destination = "", ...rest] = body.split(":");
  if (destination === "" && rest.length < 2) throw usageError(`${what} has no destination`, FORM);
  return rest.length === 1
    ? { destination, portsText: rest[0] }
    : { destination: body, portsText: undefined };
}

/** "allow 10.0.0.0/8:443/tcp". */
export function ruleText({ action, destination, protocol, firstPort, lastPort }: Rule): string {
  const ports = firstPort === 0 ? "" : lastPort === 0 ? `:${firstPort}` : `:${firstPort}-${lastPort}`;
  const named = [...PROTOCOLS].find(([, each]) => each === protocol)?.[0];
  const to = destination === "" ? "any" : ports === "" ? destination : beforePort(destination);
  return `${action === EgressAction.ALLOW ? "allow" : "deny"} ${to}${ports}${named === undefined ? "" : `/${named}`}`;
}
