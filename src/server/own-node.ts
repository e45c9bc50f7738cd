import { contentKeyOf } from "../agent/contents.ts";
import { newId } from "../lib/ids.ts";
import type { Log } from "../lib/log.ts";
import { systemRandom } from "../lib/random.ts";
import { put } from "../model/change.ts";
import type { NodeId } from "../model/ids.ts";
import type { View } from "../model/view.ts";
import { newKey } from "../pki/keys.ts";
import type { AgentState } from "../store/agent-state/agent-state.ts";
import type { Store } from "../store/store.ts";
import { commitFresh } from "./commit-fresh.ts";

/**
 * Which node this machine is. The cluster's state knows, also when the agent's was lost. A
 * cluster that knows of no node is a new one: what the agent remembers was told by another, and
 * containers from then, which carry the old id, are left alone.
 */
export function ownNodeId(view: View, state: AgentState, log: Log): NodeId {
  const own = [...view.nodes.values()].find((node) => node.roles.server);
  const remembered = state.loadNodeId();
  if (own !== undefined && own.id === remembered) return own.id;
  if (remembered !== undefined) {
    log.warn(
      `this machine was node ${remembered} of another cluster: its containers are left alone`,
    );
    state.saveAssignments({ generation: 0, assignments: [] });
    state.deleteStatus(state.statuses().map((status) => status.taskId));
  }
  const nodeId = own?.id ?? newId<"node">(systemRandom);
  state.saveNodeId(nodeId);
  return nodeId;
}

/** This machine joins no cluster, but keeps a key as nodes that do. */
export async function ownContentKey(state: AgentState): Promise<Uint8Array> {
  const key = state.loadKey() ?? (await newKey());
  state.saveKey(key);
  return contentKeyOf(key);
}

/** Other nodes get their ranges by joining; this one has its own by being the server's. */
export async function noteSubnet(store: Store, nodeId: NodeId, subnet: string): Promise<void> {
  await commitFresh(store, (view) => {
    const node = view.nodes.get(nodeId);
    if (node === undefined || node.subnet === subnet) return [];
    return [put.node({ ...node, subnet })];
  });
}
