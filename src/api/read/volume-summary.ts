import { compareText } from "../../lib/order.ts";
import type { VolumeMount } from "../../model/container.ts";
import type { NodeId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { specAt, specOf, type Service } from "../../model/service.ts";
import { volumesOfSlot, volumesOfTask } from "../../model/task-volumes.ts";
import { formatTaskName, isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import type { NodeVolume, VolumeSummary } from "../../model/volume.ts";

/** How the volume is mounted by whoever uses it; undefined where nobody does. */
export function mountNamed(view: View, name: string): VolumeMount | undefined {
  for (const node of view.nodes.values()) {
    const use = usesOn(view, node).get(name);
    if (use !== undefined) return use.mount;
  }
  for (const service of view.services.values()) {
    const { mounts } = specOf(service).container;
    const found = mounts.find((mount) => mount.type === "volume" && mount.volume === name);
    if (found?.type === "volume") return found;
  }
  return undefined;
}

/**
 * What there is of volumes: those that nodes told of, and of nodes that are away those that tasks
 * or homes tell of. What orchd neither made nor uses is left out.
 */
export function volumeSummaries(
  view: View,
  found: ReadonlyMap<NodeId, readonly NodeVolume[]>,
): VolumeSummary[] {
  const summaries = [...view.nodes.values()].flatMap((node) => {
    const { id, hostname } = node;
    const uses = usesOn(view, node);
    const told = found.get(id);
    if (told === undefined) {
      return [...uses].map(([name, use]): VolumeSummary => {
        const driver = use.mount.driver ?? "local";
        const known = { labels: use.mount.labels, isOurs: !use.mount.external, isReached: false };
        return { name, node: hostname, driver, ...known, ...ofUse(use) };
      });
    }
    const shown = told.filter(({ name, isOurs }) => isOurs || uses.has(name));
    return shown.map((volume): VolumeSummary => {
      return { ...volume, node: hostname, isReached: true, ...ofUse(uses.get(volume.name)) };
    });
  });
  return summaries.sort((a, b) => compareText(a.name, b.name) || compareText(a.node, b.node));
}

interface Use {
  mount: VolumeMount;
  stack: string;
  tasks: Task[];
}

function ofUse(use: Use | undefined): Pick<VolumeSummary, "stack" | "usedBy"> {
  if (use === undefined) return { usedBy: [] };
  return { stack: use.stack, usedBy: use.tasks.map((task) => formatTaskName(task)).sort() };
}

/** By the volume's name: tasks on the node that have not ended, and homes of slots. */
function usesOn(view: View, node: Node): Map<string, Use> {
  const uses = new Map<string, Use>();
  const note = (service: Service, mounts: readonly VolumeMount[], task?: Task) => {
    for (const mount of mounts) {
      const use = uses.get(mount.volume) ?? { mount, stack: service.stack, tasks: [] };
      if (task !== undefined) use.tasks.push(task);
      uses.set(mount.volume, use);
    }
  };
  for (const service of view.services.values()) {
    for (const [slot, home] of Object.entries(service.homes ?? {})) {
      if (home === node.id) note(service, volumesOfSlot(service, slot, node));
    }
  }
  for (const task of view.tasksOn(node.id)) {
    const service = view.services.get(task.serviceId);
    if (service === undefined || isTerminal(task.state)) continue;
    note(service, volumesOfTask(task, specAt(service, task.revision), node), task);
  }
  return uses;
}
