import { hasActions } from "../lib/go-template.ts";
import type { Assignment } from "./assignment.ts";
import type { ContainerSpec, VolumeMount } from "./container.ts";
import { expandVolumeMount } from "./mount-templates.ts";
import { specOf, type Service, type ServiceSpec } from "./service.ts";
import type { Task } from "./task.ts";
import { templateContextOf, type TemplateNode, type TemplateTask } from "./template-context.ts";
import { expandValue } from "./template.ts";
import type { VolumeBackup } from "./volume-backup.ts";
import { VOLUME_NAME } from "./volume.ts";

/** A task, or a slot that has none now, whose volumes are asked for. */
export type VolumeUser = Pick<Task, "id" | "serviceId" | "stack" | "service" | "slot">;

/**
 * The named volumes of a task, called as they are on its node: a name that is a template is another
 * one for each slot, node or task.
 */
export function volumesOfTask(
  user: VolumeUser,
  { container, labels }: ServiceSpec,
  node: TemplateNode,
): VolumeMount[] {
  return namedVolumes(container, { ...user, taskId: user.id, serviceLabels: labels }, node);
}

/** Stands for the id of any task, and in no name of a volume. */
const ANY_TASK = "?";

/** The same for a slot, whichever task it has: without volumes that are called by their task. */
export function volumesOfSlot(service: Service, slot: string, node: TemplateNode): VolumeMount[] {
  const { id: serviceId, stack, name } = service;
  const spec = specOf(service);
  const task = { serviceId, stack, service: name, slot, taskId: ANY_TASK };
  return namedVolumes(spec.container, { ...task, serviceLabels: spec.labels }, node);
}

/** The named volumes that an assignment's container mounts. */
export function volumesOfAssignment(assignment: Assignment, node: TemplateNode): VolumeMount[] {
  return namedVolumes(assignment.container, assignment, node);
}

/** The backups that a node makes of an assignment's volumes. */
export function backupsOfAssignment(assignment: Assignment, node: TemplateNode): VolumeBackup[] {
  return (assignment.backups ?? []).flatMap((backup) => {
    const volume = nameFor(backup.volume, assignment, node);
    return volume === undefined ? [] : [{ ...backup, volume }];
  });
}

function namedVolumes(
  { mounts }: Pick<ContainerSpec, "mounts">,
  task: TemplateTask,
  node: TemplateNode,
): VolumeMount[] {
  return mounts.flatMap((mount) => {
    if (mount.type !== "volume" || mount.volume === "") return [];
    const volume = nameFor(mount.volume, task, node);
    if (volume === undefined) return [];
    const fill = (_: string, text: string) => filled(text, task, node) ?? text;
    return [{ ...expandVolumeMount(mount, fill), volume }];
  });
}

/** Undefined for what no volume can be called: a task with such a one is never started. */
function nameFor(name: string, task: TemplateTask, node: TemplateNode): string | undefined {
  const called = filled(name, task, node);
  return called !== undefined && VOLUME_NAME.test(called) ? called : undefined;
}

function filled(text: string, task: TemplateTask, node: TemplateNode): string | undefined {
  if (!hasActions(text)) return text;
  const expanded = expandValue(text, templateContextOf(task, node));
  return expanded.ok ? expanded.value : undefined;
}
