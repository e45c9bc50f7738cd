import { hasActions } from "../../lib/go-template.ts";
import type { Parsed } from "../../lib/parsed.ts";
import type { ContainerSpec } from "../../model/container.ts";
import { expandMount, templatesIn } from "../../model/mount-templates.ts";
import { expandValue, type TemplateContext } from "../../model/template.ts";

/** Whether anything of the container, or of what it reads, is filled in for each task. */
export function isFilledIn({ environment, hostname, mounts, grants = [] }: ContainerSpec): boolean {
  return (
    grants.some(({ isTemplate }) => isTemplate === true) ||
    hasActions(hostname ?? "") ||
    Object.values(environment).some(hasActions) ||
    mounts.some((mount) => templatesIn(mount).some(hasActions))
  );
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
