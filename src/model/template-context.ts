import type { Assignment } from "./assignment.ts";
import { baseOfSlot } from "./slot-name.ts";
import type { TemplateContext } from "./template.ts";

/** As much of a node as templates are told. */
export interface TemplateNode {
  id: string;
  hostname: string;
  platform: { os: string; arch: string };
}

/** As much of a task as templates are told. */
export type TemplateTask = Pick<
  Assignment,
  "serviceId" | "stack" | "service" | "slot" | "serviceLabels"
> & { taskId: string };

/** Architectures as Swarm names them in templates: the kernel's words, not those of images. */
const KERNEL_WORDS: Readonly<Record<string, string>> = { amd64: "x86_64", arm64: "aarch64" };

/** What templates are told of a task. A service is named as in Swarm: `shop_web`. */
export function templateContextOf(task: TemplateTask, node: TemplateNode): TemplateContext {
  const { serviceId, stack, service, taskId, serviceLabels = {} } = task;
  const slot = baseOfSlot(task.slot);
  const name = `${stack}_${service}`;
  const { os, arch } = node.platform;
  return {
    service: { id: serviceId, name, labels: serviceLabels },
    node: { id: node.id, hostname: node.hostname, os, architecture: KERNEL_WORDS[arch] ?? arch },
    task: { id: taskId, name: `${name}.${slot}.${taskId}`, slot },
  };
}
