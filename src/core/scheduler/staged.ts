import type { NodeId } from "../../model/ids.ts";
import type { Service } from "../../model/service.ts";
import { isStaged, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { count, shareRoom, tasksAt, type NodeLoad, type Room } from "./load.ts";

const NOTHING: ReadonlyMap<NodeId, Room> = new Map();

/**
 * What the task finds free on each node when it starts, beside what is free there now: nothing,
 * unless it is only to be made ready until others of its slot have ended.
 * @param nodes where these others are
 * @param isGone leaves tasks out whose room is free in any case
 */
export function roomGivenTo(
  view: View,
  service: Service,
  task: Task,
  nodes: readonly NodeId[],
  isGone: (task: Task) => boolean = () => false,
): ReadonlyMap<NodeId, Room> {
  if (!isStaged(task)) return NOTHING;
  const rooms = new Map<NodeId, Room>();
  for (const nodeId of new Set(nodes)) {
    const { serviceId, slot } = task;
    const others = tasksAt(view, { serviceId, slot, nodeId }).filter((one) => {
      return one.id !== task.id && !isGone(one);
    });
    rooms.set(nodeId, shareRoom(service, others).left);
  }
  return rooms;
}

/** What devices are in use but for those that are given back. */
export function withoutDevices(
  load: Pick<NodeLoad, "devices">,
  given: Room | undefined,
): Pick<NodeLoad, "devices"> {
  if (given === undefined || given.devices.size === 0) return load;
  const devices = new Map(load.devices);
  for (const [id, uses] of given.devices) count(devices, id, -uses);
  return { devices };
}
