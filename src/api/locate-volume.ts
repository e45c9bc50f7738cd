import { OrchdError } from "../lib/errors.ts";
import { nearest } from "../lib/text.ts";
import type { NodeId } from "../model/ids.ts";
import type { AgentSession } from "../model/session.ts";
import type { NodeVolume, VolumeSummary } from "../model/volume.ts";
import type { ApiDeps } from "./deps.ts";
import { resolveTarget } from "./read/target.ts";
import { volumeSummaries } from "./read/volume-summary.ts";

/** A node that takes longer to answer is shown as one that is away. */
const ANSWER_WITHIN_MS = 10_000;

/** What all nodes that are connected say of their volumes, with sizes where they are asked for. */
export async function findVolumes(
  deps: ApiDeps,
  options: { names?: readonly string[]; sizes: boolean },
): Promise<VolumeSummary[]> {
  const found = new Map<NodeId, NodeVolume[]>();
  const asked = deps.sessions().map(async (session) => {
    const told = await inTime(deps, session.volumes.list(options), options.sizes);
    if (told !== undefined) found.set(session.nodeId, told);
  });
  await Promise.all(asked);
  const all = volumeSummaries(deps.store.view(), found);
  const { names } = options;
  return names === undefined ? all : all.filter(({ name }) => names.includes(name));
}

/**
 * The agent of the node that has the volume, or of the one that was named.
 * @param isNew whether it need not be there yet
 * @throws OrchdError `notFound`, `conflict` when several nodes have it, `unreachable`
 */
export async function agentWithVolume(
  deps: ApiDeps,
  name: string,
  node: string | undefined,
  isNew = false,
): Promise<AgentSession> {
  const found = (await findVolumes(deps, { sizes: false })).filter((one) => one.name === name);
  if (node !== undefined) {
    const target = resolveTarget(deps.store.view(), node, ["node"]);
    if (target.kind !== "node") throw new OrchdError("notFound", `${node} is not a node`);
    const { id, hostname } = target.node;
    if (!isNew && !found.some((one) => one.node === hostname)) {
      throw new OrchdError("notFound", `node ${hostname} has no volume ${name}`);
    }
    return connectedAgent(deps, id, hostname, name);
  }
  const [only, ...others] = found;
  if (only === undefined) throw await nowhere(deps, name, isNew);
  if (others.length > 0) {
    const nodes = found.map((one) => one.node).join(", ");
    const message = `the volume ${name} is on several nodes (${nodes}): say which with --node`;
    throw new OrchdError("conflict", message);
  }
  const at = [...deps.store.view().nodes.values()].find(({ hostname }) => hostname === only.node);
  if (at === undefined) throw new OrchdError("notFound", `there is no node ${only.node}`);
  return connectedAgent(deps, at.id, at.hostname, name);
}

function connectedAgent(
  deps: ApiDeps,
  nodeId: NodeId,
  hostname: string,
  name: string,
): AgentSession {
  const session = deps.session(nodeId);
  if (session !== undefined) return session;
  const message = `node ${hostname}, which has the volume ${name}, is not connected: try again`;
  throw new OrchdError("unreachable", message, { retryable: true });
}

async function nowhere(deps: ApiDeps, name: string, isNew: boolean): Promise<OrchdError> {
  if (isNew) {
    const message = `no node has a volume ${name}: say on which it is to be with --node`;
    return new OrchdError("notFound", message);
  }
  const known = await findVolumes(deps, { sizes: false });
  const guess = nearest(name, new Set(known.map((volume) => volume.name)));
  const hint = guess === undefined ? "`orchd volume ls` lists them" : `did you mean ${guess}?`;
  return new OrchdError("notFound", `no node has a volume ${name}: ${hint}`);
}

/** Undefined for a node that fails or is late; measuring takes as long as it takes. */
async function inTime<T>(
  { clock }: ApiDeps,
  answer: Promise<T>,
  isPatient: boolean,
): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = isPatient
    ? undefined
    : clock.after(ANSWER_WITHIN_MS, () => late.resolve(undefined));
  // A node that went away meanwhile is one that is away.
  const safe = answer.catch(() => undefined);
  return Promise.race([safe, late.promise]).finally(() => timer?.cancel());
}
