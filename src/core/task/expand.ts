import { hasActions } from "../../lib/go-template.ts";
import type { Parsed } from "../../lib/parsed.ts";
import type { Assignment } from "../../model/assignment.ts";
import type { ContainerSpec, Mount } from "../../model/container.ts";
import type { NodeId } from "../../model/ids.ts";
import { baseOfSlot } from "../../model/slot-name.ts";
import { expandValue, type TemplateContext } from "../../model/template.ts";

/** As much of a node as templates are told. */
export interface TemplateNode {
  id: NodeId;
  hostname: string;
  platform: { os: string; arch: string };
}

/** Architectures as Swarm names them in templates: the kernel's words, not those of images. */
const KERNEL_WORDS: Readonly<Record<string, string>> = { amd64: "x86_64", arm64: "aarch64" };

/** What templates are told of a task. A service is named as in Swarm: `shop_web`. */
export function templateContextOf(assignment: Assignment, node: TemplateNode): TemplateContext {
  const { serviceId, stack, service, taskId, serviceLabels = {} } = assignment;
  const slot = baseOfSlot(assignment.slot);
  const name = `${stack}_${service}`;
  const { os, arch } = node.platform;
  return {
    service: { id: serviceId, name, labels: serviceLabels },
    node: { id: node.id, hostname: node.hostname, os, architecture: KERNEL_WORDS[arch] ?? arch },
    task: { id: taskId, name: `${name}.${slot}.${taskId}`, slot },
  };
}

/** Whether anything of the container, or of what it reads, is filled in for each task. */
export function isFilledIn({ environment, hostname, mounts, grants = [] }: ContainerSpec): boolean {
  return (
    grants.some(({ isTemplate }) => isTemplate === true) ||
    hasActions(hostname ?? "") ||
    Object.values(environment).some(hasActions) ||
    mounts.some((mount) => hasActions(mount.target) || hasActions(sourceOf(mount)))
  );
}

function sourceOf(mount: Mount): string {
  if (mount.type === "tmpfs") return "";
  return mount.type === "bind" ? mount.source : mount.volume;
}

/** The container as it is for one task: environment, host name and mounts are filled in. */
export function expandContainer(
  container: ContainerSpec,
  context: TemplateContext,
): Parsed<ContainerSpec> {
  if (!isFilledIn(container)) return { ok: true, value: container };
  let problem: string | undefined;
  const fill = (place: string, text: string) => {
    const expanded = expandValue(text, context);
    if (expanded.ok) return expanded.value;
    problem ??= `the template of ${place} ${expanded.problem}`;
    return text;
  };
  const { hostname } = container;
  const value: ContainerSpec = {
    ...container,
    environment: Object.fromEntries(
      Object.entries(container.environment).map(([key, text]) => {
        return [key, fill(`the variable ${key}`, text)];
      }),
    ),
    ...(hostname === undefined ? {} : { hostname: fill("the host name", hostname) }),
    mounts: container.mounts.map((mount) => expandMount(mount, fill)),
  };
  return problem === undefined ? { ok: true, value } : { ok: false, problem };
}

function expandMount(mount: Mount, fill: (place: string, text: string) => string): Mount {
  const target = fill("a mount's target", mount.target);
  switch (mount.type) {
    case "tmpfs":
      return { ...mount, target };
    case "bind":
      return { ...mount, target, source: fill("a mount's source", mount.source) };
    case "volume":
      return { ...mount, target, volume: fill("a volume's name", mount.volume) };
  }
}
