import type { Parsed } from "../../lib/parsed.ts";
import { sortedBy } from "../../lib/order.ts";
import { plural } from "../../lib/text.ts";
import { compareVersions, parseVersion } from "../../lib/version.ts";
import type { Node } from "../../model/node.ts";
import { type Executable, type Upgrade, UPGRADE_ID } from "../../model/upgrade.ts";
import type { UpgradeRequest } from "../../model/upgrade.ts";
import { executableFor, runsAlready, type UpgradeTarget } from "./step.ts";

const NAMED_MAX = 3;
const BY_HAND = "the server can't be told to run another orchd, since it runs with --no-agent";

export interface UpgradeInput {
  request: UpgradeRequest;
  /** Those that are meant. */
  nodes: readonly Node[];
  /** All that the site keeps. */
  kept: readonly Executable[];
  /** The one before, where there is one: under which version it is stored. */
  before: Upgrade | undefined;
  order: Upgrade["order"];
  /** What a server runs that has no agent, and so is none of the nodes. */
  serverVersion?: string;
  run: string;
  now: number;
}

/** The newest version among executables. */
export function newestOf(kept: readonly Executable[]): string | undefined {
  const parsed = kept.flatMap(({ version }) => {
    const value = parseVersion(version);
    return value === undefined ? [] : [{ version, value }];
  });
  return parsed.toSorted((a, b) => compareVersions(b.value, a.value))[0]?.version;
}

/** An upgrade that can be done, or why it can't, in a sentence without its full stop. */
export function planUpgrade(input: UpgradeInput): Parsed<Upgrade> {
  const { request, kept, run, now } = input;
  const nodes = sortedBy(input.nodes, ({ hostname, id }) => `${hostname} ${id}`);
  const { parallel, withinMs, force } = request;
  const to = request.to ?? newestOf(kept);
  if (to === undefined) return refused("the site keeps no executable of orchd: name a file of one");
  const executables = kept.filter(({ version }) => version === to);
  if (executables.length === 0) {
    const there = [...new Set(kept.map(({ version }) => version))];
    const known = there.length === 0 ? "" : `; it keeps ${there.join(", ")}`;
    return refused(`the site keeps no executable of orchd ${to}${known}`);
  }
  if (nodes.length === 0 && input.serverVersion !== undefined) {
    return refused(`no node is meant, and ${BY_HAND}: put ${to} there by hand, restart it`);
  }
  if (nodes.length === 0) return refused("no node is meant: see `orchd nodes`");
  const problem =
    whyWrongPlatform(nodes, executables) ??
    whyLone(input, to) ??
    whyStuck(nodes) ??
    whyOlder(nodes, { to, executables, force });
  if (problem !== undefined) return refused(problem);
  const isDone = (node: Node) => runsAlready(node, { to, executables, force }) === "same";
  return {
    ok: true,
    value: {
      id: UPGRADE_ID,
      run,
      to,
      parallel,
      withinMs,
      force,
      order: input.order,
      state: nodes.every(isDone) ? "done" : "running",
      startedAt: now,
      ...(nodes.every(isDone) ? { endedAt: now } : {}),
      executables,
      nodes: nodes.map((node) => {
        return { id: node.id, state: isDone(node) ? "done" : "waiting", since: now };
      }),
      version: input.before?.version ?? 0,
    },
  };
}

function whyWrongPlatform(
  nodes: readonly Node[],
  executables: readonly Executable[],
): string | undefined {
  const odd = nodes.find((node) => executableFor(node, executables) === undefined);
  if (odd === undefined) return undefined;
  const { os, arch } = odd.platform;
  const there = executables.map(({ platform }) => platform).join(", ");
  return (
    `node ${odd.hostname} is ${os}/${arch}, and the executable is for ${there}: ` +
    "name one for each kind of machine, or only nodes of one kind"
  );
}

/** The server has to speak what nodes of the new version do, before any of them. */
function whyLone({ order, serverVersion }: UpgradeInput, to: string): string | undefined {
  if (order === "agentsFirst" || serverVersion === undefined) return undefined;
  return `${BY_HAND}, and has to run ${to} before any node does: put it there by hand, restart it`;
}

function whyStuck(nodes: readonly Node[]): string | undefined {
  const odd = nodes.filter(({ executable }) => executable === undefined);
  if (odd.length === 0) return undefined;
  return (
    `${namesOf(odd)} can't be upgraded from here, since the orchd there is too old or runs from ` +
    "its sources: put the new executable there by hand"
  );
}

function whyOlder(nodes: readonly Node[], target: UpgradeTarget): string | undefined {
  const newer = nodes.filter((node) => runsAlready(node, target) === "newer");
  const [first] = newer;
  if (first === undefined) return undefined;
  const runs = `${namesOf(newer)} ${newer.length === 1 ? "runs" : "run"}`;
  return `${runs} a newer orchd (${first.orchdVersion}) than ${target.to}: use --force to go back`;
}

function namesOf(nodes: readonly Node[]): string {
  const names = nodes.slice(0, NAMED_MAX).map(({ hostname }) => hostname);
  const more = nodes.length - names.length;
  return names.join(", ") + (more === 0 ? "" : ` and ${plural(more, "more node")}`);
}

function refused(problem: string): { ok: false; problem: string } {
  return { ok: false, problem };
}
