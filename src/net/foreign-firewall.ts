import { z } from "zod";
import { listChains, listRules } from "./nftables.ts";

/** A firewall of somebody else that stands in the way of tasks until people open it. */
export interface FoundFirewall {
  /** What it does: the beginning of a sentence. */
  effect: string;
  /** A command that opens it. */
  remedy: string;
}

/** Of which addresses a range is. */
type Family = "ip" | "ip6";

interface KnownFirewall {
  /** Where it drops what nobody allowed. */
  barrier: string;
  isShut: RegExp;
  /** Where people say what is allowed; not this firewall's where there is none. */
  exceptions: string;
  effect: string;
  remedy: string;
}

function knownTo(range: string): KnownFirewall[] {
  const family = familyOf(range);
  return [
    {
      barrier: `chain ${family} filter FORWARD`,
      isShut: /policy drop/,
      exceptions: `chain ${family} filter DOCKER-USER`,
      effect: "Docker's firewall drops what other nodes send to tasks here",
      remedy: `${PROGRAM[family]} -I DOCKER-USER -d ${range} -j ACCEPT`,
    },
    {
      barrier: "chain inet firewalld filter_FORWARD",
      isShut: /reject|drop/,
      exceptions: "table inet firewalld",
      effect: "firewalld rejects what tasks here are sent",
      remedy:
        `firewall-cmd --permanent --zone=trusted --add-source=${range} && ` +
        "firewall-cmd --reload",
    },
  ];
}

const PROGRAM = { ip: "iptables", ip6: "ip6tables" };

function familyOf(range: string): Family {
  return range.includes(":") ? "ip6" : "ip";
}

/**
 * Other firewalls of this machine that people should open for a range of the cluster. Those tables
 * are read and never changed.
 */
export async function findFirewalls(range: string): Promise<FoundFirewall[]> {
  const found: FoundFirewall[] = [];
  const judged = new Set<string>();
  for (const { barrier, isShut, exceptions, effect, remedy } of knownTo(range)) {
    const allowed = await listRules(exceptions);
    if (allowed === undefined) continue;
    judged.add(barrier);
    const rules = (await listRules(barrier)) ?? "";
    if (!isShut.test(rules) || allowed.includes(range)) continue;
    found.push({ effect, remedy });
  }
  for (const chain of await shutChains(familyOf(range))) {
    const barrier = `chain ${chain}`;
    if (judged.has(barrier) || ((await listRules(barrier)) ?? "").includes(range)) continue;
    const effect = `the machine's firewall (nft chain ${chain}) drops what tasks here are sent`;
    found.push({ effect, remedy: openingOf(chain, range) });
  }
  return found;
}

/**
 * What people should allow in other firewalls of this machine; a sentence each.
 * @param ranges of the cluster, of IPv4 and of IPv6
 */
export async function foreignFirewalls(ranges: readonly string[]): Promise<string[]> {
  const found = (await Promise.all(ranges.map(findFirewalls))).flat();
  return found.map(({ effect, remedy }) => `${effect}; allow it with: ${remedy}`);
}

const chainsSchema = z.array(
  z.object({
    family: z.string(),
    table: z.string(),
    name: z.string(),
    hook: z.string().optional(),
    policy: z.string().optional(),
  }),
);

/** Chains that drop what passes through the machine unless a rule lets it: `ip filter FORWARD`. */
async function shutChains(of: Family): Promise<string[]> {
  return chainsSchema
    .parse(await listChains())
    .filter(({ family, table, hook, policy }) => {
      const isAsked = (family === of || family === "inet") && table !== "orchd";
      return isAsked && hook === "forward" && policy === "drop";
    })
    .map(({ family, table, name }) => `${family} ${table} ${name}`);
}

function openingOf(chain: string, range: string): string {
  const family = familyOf(range);
  if (chain === `${family} filter FORWARD`) {
    return `${PROGRAM[family]} -I FORWARD -d ${range} -j ACCEPT`;
  }
  return `nft insert rule ${chain} ${family} daddr ${range} accept`;
}
