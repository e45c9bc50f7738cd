import { homeOf } from "../../model/home.ts";
import type { NodeId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { specAt, specOf, type Service, type ServiceSpec } from "../../model/service.ts";
import { isStaged, occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/** What a task takes of its node. */
interface Room {
  cpuMillis: number;
  memoryBytes: number;
  /** `8080/tcp` */
  hostPorts: ReadonlySet<string>;
}

/** A task that looks for a node, with what it needs. */
export interface Candidate {
  task: Task;
  spec: ServiceSpec;
  /** Where other tasks of its slot are: it takes their place, once for each. */
  slotNodes: readonly (NodeId | undefined)[];
  /** What others of its slot give back on a node before it starts there. */
  gives: ReadonlyMap<NodeId, Room>;
  /** The only node that can hold it, where it can't go to another. */
  home: Node | undefined;
}

/**
 * What the task needs. Where it may run is told by the newest revision: a change of placement makes
 * no new task, and frees one that waits.
 */
export function candidateOf(view: View, service: Service, task: Task): Candidate {
  const spec = { ...specAt(service, task.revision), placement: specOf(service).placement };
  const others = view.tasksOf(service.id).filter((other) => other.slot === task.slot);
  const held = others.filter((other) => other.id !== task.id && occupiesNode(other));
  const home = homeOf(view, service, task.slot);
  const gives = isStaged(task) ? roomOf(service, held) : new Map<NodeId, Room>();
  return { task, spec, slotNodes: held.map((other) => other.nodeId), gives, home };
}

/** What a staged task finds free when it starts: all others of its slot have ended by then. */
function roomOf(service: Service, held: readonly Task[]): Map<NodeId, Room> {
  const rooms = new Map<NodeId, Room>();
  for (const { nodeId, revision } of held) {
    if (nodeId === undefined) continue;
    const { resources, ports } = specAt(service, revision);
    const own = ports.filter((port) => port.mode === "host");
    const before = rooms.get(nodeId);
    const taken = own.map((port) => `${port.published}/${port.protocol}`);
    rooms.set(nodeId, {
      cpuMillis: (before?.cpuMillis ?? 0) + resources.reservations.cpuMillis,
      memoryBytes: (before?.memoryBytes ?? 0) + resources.reservations.memoryBytes,
      hostPorts: new Set([...(before?.hostPorts ?? []), ...taken]),
    });
  }
  return rooms;
}
