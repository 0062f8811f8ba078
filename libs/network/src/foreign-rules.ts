/**
 * Rules of other programs that stop the guests' packets.
 *
 * A packet passes when no table drops it, so a table that drops what it does not know (Docker's, firewalld's) drops the guests'
 * packets whatever the node's own table says. The node changes no table but its own. It reports the chain and the command by which an
 * operator lets the bridge through.
 */
import { array, each, record, string } from "./json.ts";

export type ForeignRule = {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  /** What an operator can do. */
  readonly remedy: string;
};

type Rule = { readonly chain: string; readonly expressions: readonly unknown[] };

/** The forward chains of other tables that would drop what passes the bridge. `listing` is what `HostReader.allRules` answers. */
export function foreignRules(listing: readonly unknown[], bridge: string): readonly ForeignRule[] {
  const rules = rulesByTable(listing);
  return each(listing, "chain").flatMap((chain) => {
    const [family, table, name] = [string(chain.family), string(chain.table), string(chain.name)];
    if (chain.hook !== "forward" || table === bridge || !["ip", "ip6", "inet"].includes(family)) return [];
    const inTable = rules.get(`${family} ${table}`) ?? [];
    const own = inTable.filter((rule) => rule.chain === name);
    const stops = chain.policy === "drop" || own.some(({ expressions }) => stopsAll(expressions));
    if (!stops || letsThrough(inTable, name, bridge)) return [];
    return [
      { family, table, chain: name, remedy: remedyFor({ family, table, chain: name }, inTable, bridge) },
    ];
  });
}

function rulesByTable(listing: readonly unknown[]): ReadonlyMap<string, readonly Rule[]> {
  return Map.groupBy(
    each(listing, "rule").map((rule) => ({
      of: `${string(rule.family)} ${string(rule.table)}`,
      chain: string(rule.chain),
      expressions: array(rule.expr),
    })),
    ({ of }) => of,
  );
}

/** A rule without a condition that ends in a refusal. Counters and logs are no conditions. */
function stopsAll(expressions: readonly unknown[]): boolean {
  const names = expressions.flatMap((each) => Object.keys(record(each)));
  const rest = names.filter((name) => !["counter", "log", "limit"].includes(name));
  return rest.length === 1 && ["drop", "reject"].includes(rest[0] ?? "");
}

/** Whether rules below the chain accept both directions of the bridge, without any further condition. */
function letsThrough(rules: readonly Rule[], chain: string, bridge: string): boolean {
  const below = new Set<string>();
  const queue = [chain];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (below.has(name)) continue;
    below.add(name);
    queue.push(
      ...rules.filter((rule) => rule.chain === name).flatMap(({ expressions }) => targets(expressions)),
    );
  }
  const reached = rules.filter((rule) => below.has(rule.chain));
  return ["iifname", "oifname"].every((key) =>
    reached.some(({ expressions }) => accepts(expressions, key, bridge)),
  );
}

const targets = (expressions: readonly unknown[]): string[] =>
  expressions.flatMap((each) => {
    const { jump, goto } = record(each);
    const target = string(record(jump ?? goto).target);
    return target === "" ? [] : [target];
  });

function accepts(expressions: readonly unknown[], key: string, bridge: string): boolean {
  const conditions = expressions.flatMap((each) =>
    "match" in record(each) ? [record(record(each).match)] : [],
  );
  const [only] = conditions;
  return (
    conditions.length === 1 &&
    only !== undefined &&
    only.op === "==" &&
    record(record(only.left).meta).key === key &&
    only.right === bridge &&
    expressions.some((each) => "accept" in record(each))
  );
}

type Place = { readonly family: string; readonly table: string; readonly chain: string };

function remedyFor({ family, table, chain }: Place, rules: readonly Rule[], bridge: string): string {
  const iptables = family === "ip6" ? "ip6tables" : "iptables";
  const called = rules.flatMap(({ expressions }) => targets(expressions));
  if (called.includes("DOCKER-USER"))
    return ["-i", "-o"].map((way) => `${iptables} -I DOCKER-USER ${way} ${bridge} -j ACCEPT`).join(" && ");
  if (table === "firewalld")
    return `firewall-cmd --permanent --zone=trusted --add-interface=${bridge} && firewall-cmd --reload`;
  if (called.some((name) => name.startsWith("ufw-") || name.startsWith("ufw6-")))
    return `ufw route allow in on ${bridge} && ufw route allow out on ${bridge}`;
  return ["iifname", "oifname"]
    .map((key) => `nft insert rule ${family} ${table} ${chain} ${key} "${bridge}" accept`)
    .join(" && ");
}
