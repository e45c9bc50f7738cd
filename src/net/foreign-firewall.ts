import { z } from "zod";
import { listChains, listRules } from "./nftables.ts";

/** A firewall of somebody else that stands in the way of tasks until people open it. */
export interface FoundFirewall {
  /** What it does: the beginning of a sentence. */
  effect: string;
  /** A command that opens it. */
  remedy: string;
}

interface KnownFirewall {
  /** Where it drops what nobody allowed. */
  barrier: string;
  isShut: RegExp;
  /** Where people say what is allowed; not this firewall's where there is none. */
  exceptions: string;
  effect: string;
  remedy: (range: string) => string;
}

const KNOWN: KnownFirewall[] = [
  {
    barrier: "chain ip filter FORWARD",
    isShut: /policy drop/,
    exceptions: "chain ip filter DOCKER-USER",
    effect: "Docker's firewall drops what other nodes send to tasks here",
    remedy: (range) => `iptables -I DOCKER-USER -d ${range} -j ACCEPT`,
  },
  {
    barrier: "chain inet firewalld filter_FORWARD",
    isShut: /reject|drop/,
    exceptions: "table inet firewalld",
    effect: "firewalld rejects what tasks here are sent",
    remedy: (range) =>
      `firewall-cmd --permanent --zone=trusted --add-source=${range} && firewall-cmd --reload`,
  },
];

/**
 * Other firewalls of this machine that people should open for the cluster's range. Those tables are
 * read and never changed.
 */
export async function findFirewalls(range: string): Promise<FoundFirewall[]> {
  const found: FoundFirewall[] = [];
  const judged = new Set<string>();
  for (const { barrier, isShut, exceptions, effect, remedy } of KNOWN) {
    const allowed = await listRules(exceptions);
    if (allowed === undefined) continue;
    judged.add(barrier);
    const rules = (await listRules(barrier)) ?? "";
    if (!isShut.test(rules) || allowed.includes(range)) continue;
    found.push({ effect, remedy: remedy(range) });
  }
  for (const chain of await shutChains()) {
    const barrier = `chain ${chain}`;
    if (judged.has(barrier) || ((await listRules(barrier)) ?? "").includes(range)) continue;
    const effect = `the machine's firewall (nft chain ${chain}) drops what tasks here are sent`;
    found.push({ effect, remedy: openingOf(chain, range) });
  }
  return found;
}

/** What people should allow in other firewalls of this machine; a sentence each. */
export async function foreignFirewalls(range: string): Promise<string[]> {
  const found = await findFirewalls(range);
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
async function shutChains(): Promise<string[]> {
  return chainsSchema
    .parse(await listChains())
    .filter(({ family, table, hook, policy }) => {
      return (
        /^(ip|inet)$/.test(family) && table !== "orchd" && hook === "forward" && policy === "drop"
      );
    })
    .map(({ family, table, name }) => `${family} ${table} ${name}`);
}

function openingOf(chain: string, range: string): string {
  if (chain === "ip filter FORWARD") return `iptables -I FORWARD -d ${range} -j ACCEPT`;
  return `nft insert rule ${chain} ip daddr ${range} accept`;
}
