import { compareVersions, parseVersion } from "../../lib/version.ts";
import type { NodeId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import {
  type Executable,
  problemText,
  type Upgrade,
  type UpgradeNode,
} from "../../model/upgrade.ts";

/** A node that is asked in vain is asked again after this. */
export const ASK_AGAIN_MS = 10_000;
/** What a node has beyond the time of its trial, to end, to come back and to tell of it. */
export const MARGIN_MS = 90_000;

/** What nodes are to run. */
export interface UpgradeTarget {
  to: string;
  executables: readonly Executable[];
  force: boolean;
}

/** What is known of nodes when an upgrade is looked at. */
export interface UpgradeView {
  node(id: NodeId): Node | undefined;
  /** Whether it has a session. */
  isConnected(id: NodeId): boolean;
  /** Whether its order is on its way, and not answered. */
  isCalling(id: NodeId): boolean;
}

export interface UpgradeStep {
  upgrade: Upgrade;
  /** Nodes that are to be told now; they are `preparing` in `upgrade`. */
  tell: NodeId[];
  /** When it is to be looked at again though nothing happens; absent when that would be in vain. */
  againInMs?: number;
}

/**
 * The next step of an upgrade: what became of nodes that were told, and who is told now. So many at
 * once as it says, those of the second kind when no node of the first one that is there is left. It
 * ends with the first node that fails. Nodes that are away get their turn when they are back.
 */
export function stepUpgrade(upgrade: Upgrade, view: UpgradeView, now: number): UpgradeStep {
  const seen = upgrade.nodes.flatMap((one) => {
    const node = view.node(one.id);
    // One that was removed from the cluster is none of the upgrade's any more.
    return node === undefined ? [] : [seenNode(upgrade, one, node, view, now)];
  });
  const looked = withState({ ...upgrade, nodes: seen }, now);
  const tell = looked.state === "running" ? nextNodes(looked, view, now) : [];
  const told = new Set(tell);
  const nodes = looked.nodes.map((one): UpgradeNode => {
    return told.has(one.id) ? { id: one.id, state: "preparing", since: now } : one;
  });
  const againInMs = nextLook({ ...looked, nodes }, now);
  return { upgrade: { ...looked, nodes }, tell, ...(againInMs === undefined ? {} : { againInMs }) };
}

/** The node did what it was told, and is about to restart for it. */
export function withTrying(upgrade: Upgrade, id: NodeId, now: number): Upgrade {
  return withNode(upgrade, id, ["preparing"], { id, state: "trying", since: now });
}

/** The node could not do it, or may later. */
export function withRefusal(
  upgrade: Upgrade,
  id: NodeId,
  refusal: { problem: string; retryable: boolean },
  now: number,
): Upgrade {
  const { retryable } = refusal;
  const problem = problemText(refusal.problem);
  const state = retryable ? "waiting" : "failed";
  return withNode(upgrade, id, ["preparing"], { id, state, since: now, problem });
}

/**
 * Whether a node runs what it is to run, or a later version, as far as it says. Whoever uses force
 * wants that very executable.
 */
export function runsAlready(
  node: Pick<Node, "orchdVersion" | "executable" | "platform">,
  { to, executables, force }: UpgradeTarget,
): "same" | "newer" | "no" {
  if (node.executable?.isTrial === true) return "no";
  const wanted = executableFor(node, executables);
  if (wanted !== undefined && node.executable?.digest === wanted.digest) return "same";
  if (force) return "no";
  const [has, target] = [parseVersion(node.orchdVersion), parseVersion(to)];
  if (has === undefined || target === undefined) return "no";
  const order = compareVersions(has, target);
  return order > 0 ? "newer" : order < 0 || node.orchdVersion !== to ? "no" : "same";
}

/** The executable for the machine that a node is. */
export function executableFor(
  { platform: { os, arch } }: Pick<Node, "platform">,
  executables: readonly Executable[],
): Executable | undefined {
  return executables.find(({ platform }) => platform === `${os}/${arch}`);
}

function seenNode(
  upgrade: Upgrade,
  one: UpgradeNode,
  node: Node,
  view: UpgradeView,
  now: number,
): UpgradeNode {
  if (one.state === "done" || one.state === "failed") return one;
  const { id } = one;
  const last = node.executable?.last;
  if (last?.id === upgrade.run && node.executable?.isTrial !== true) {
    if (last.outcome === "kept") return { id, state: "done", since: now };
    return { id, state: "failed", since: now, problem: last.reason ?? "it was given up" };
  }
  if (view.isCalling(id)) return one;
  if (one.state === "waiting") {
    return runsAlready(node, upgrade) === "no" ? one : { id, state: "done", since: now };
  }
  const isConnected = view.isConnected(id);
  const age = now - one.since;
  if (one.state === "preparing") {
    // Its answer is lost: with the connection, or with the server's own restart.
    if (!isConnected) return age < ASK_AGAIN_MS ? one : { id, state: "waiting", since: now };
    return node.executable?.isTrial === true ? { id, state: "trying", since: now } : one;
  }
  if (one.state !== "trying" || age < upgrade.withinMs + MARGIN_MS) return one;
  const problem = isConnected
    ? "it does not tell what became of its trial"
    : "it has not come back since it was to try the new version";
  return { id, state: "failed", since: now, problem };
}

function withState(upgrade: Upgrade, now: number): Upgrade {
  if (upgrade.state !== "running") return upgrade;
  if (upgrade.nodes.some(({ state }) => state === "failed")) {
    return { ...upgrade, state: "failed", endedAt: now };
  }
  if (upgrade.nodes.some(({ state }) => state !== "done")) return upgrade;
  return { ...upgrade, state: "done", endedAt: now };
}

function nextNodes(upgrade: Upgrade, view: UpgradeView, now: number): NodeId[] {
  const isAsked = ({ id, state, since }: UpgradeNode) =>
    state === "preparing" && !view.isCalling(id) && now - since >= ASK_AGAIN_MS;
  const again = upgrade.nodes.filter((one) => isAsked(one) && view.isConnected(one.id));
  const busy = upgrade.nodes.filter(({ state }) => state === "preparing" || state === "trying");
  const room = upgrade.parallel - busy.length;
  const isServer = ({ id }: UpgradeNode) => view.node(id)?.roles.server === true;
  const isFirst = (one: UpgradeNode) => isServer(one) === (upgrade.order === "serversFirst");
  const there = upgrade.nodes.filter(
    ({ id, state }) => state === "waiting" && view.isConnected(id),
  );
  const first = there.filter(isFirst);
  // The others come when all of the first kind that are there have it.
  const second = first.length === 0 && !busy.some(isFirst) ? there : [];
  const ready = (first.length > 0 ? first : second).filter(
    ({ problem, since }) => problem === undefined || now - since >= ASK_AGAIN_MS,
  );
  return [...again, ...ready.slice(0, Math.max(0, room))].map(({ id }) => id);
}

function nextLook({ state, nodes, withinMs }: Upgrade, now: number): number | undefined {
  const waits = nodes.flatMap((one) => {
    const age = now - one.since;
    if (one.state === "trying") return [withinMs + MARGIN_MS - age];
    if (one.state === "preparing") return [ASK_AGAIN_MS - age];
    const isRefused = one.state === "waiting" && one.problem !== undefined;
    return isRefused && state === "running" ? [ASK_AGAIN_MS - age] : [];
  });
  return waits.length === 0 ? undefined : Math.max(1000, Math.min(...waits));
}

function withNode(
  upgrade: Upgrade,
  id: NodeId,
  from: readonly UpgradeNode["state"][],
  node: UpgradeNode,
): Upgrade {
  const isMeant = (one: UpgradeNode) => one.id === id && from.includes(one.state);
  return { ...upgrade, nodes: upgrade.nodes.map((one) => (isMeant(one) ? node : one)) };
}
