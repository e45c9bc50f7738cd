import { listRules } from "./nftables.ts";

/** A firewall of somebody else that stands in the way of tasks until people open it. */
interface Firewall {
  /** Where it drops what nobody allowed. */
  barrier: string;
  isShut: RegExp;
  /** Where people say what is allowed. */
  exceptions: string;
  note: (range: string) => string;
}

const FIREWALLS: Firewall[] = [
  {
    barrier: "chain ip filter FORWARD",
    isShut: /policy drop/,
    exceptions: "chain ip filter DOCKER-USER",
    note: (range) =>
      `Docker's firewall drops what other nodes send to tasks here; allow it with: ` +
      `iptables -I DOCKER-USER -d ${range} -j ACCEPT`,
  },
  {
    barrier: "chain inet firewalld filter_FORWARD",
    isShut: /reject|drop/,
    exceptions: "table inet firewalld",
    note: (range) =>
      `firewalld rejects what tasks here are sent; allow it with: ` +
      `firewall-cmd --permanent --zone=trusted --add-source=${range} && firewall-cmd --reload`,
  },
];

/**
 * What people should allow in other firewalls of this machine; a sentence each. Those tables are
 * read and never changed.
 * @param range of the cluster
 */
export async function foreignFirewalls(range: string): Promise<string[]> {
  const notes: string[] = [];
  for (const { barrier, isShut, exceptions, note } of FIREWALLS) {
    const rules = await listRules(barrier);
    if (rules === undefined || !isShut.test(rules)) continue;
    const allowed = (await listRules(exceptions)) ?? "";
    if (!allowed.includes(range)) notes.push(note(range));
  }
  return notes;
}
