import { formatServiceName } from "../../model/names.ts";
import { findCycle } from "../../model/dependency.ts";
import { isJob, sameTemplate, specOf, type ServiceSpec } from "../../model/service.ts";
import type { View } from "../../model/view.ts";

type Specs = Readonly<Record<string, ServiceSpec>>;

/** Why these services of one stack can't wait for each other, or be jobs, as they say. */
export function problemsBetween(view: View, stack: string, specs: Specs): string[] {
  const problems: string[] = [];
  for (const [name, spec] of Object.entries(specs)) {
    const full = formatServiceName(stack, name);
    if (!isJob(spec) && (spec.schedule ?? spec.job) !== undefined) {
      problems.push(`service ${full} has a schedule or limits of a job, and its mode is none`);
    }
    for (const { service, required } of spec.dependsOn ?? []) {
      const isThere =
        Object.hasOwn(specs, service) || view.serviceNamed(stack, service) !== undefined;
      if (isThere || !required) continue;
      problems.push(`service ${full} depends on ${service}, which stack ${stack} does not have`);
    }
  }
  const cycle = findCycle(edgesOf(view, stack, specs));
  if (cycle !== undefined) {
    problems.push(`services depend on each other in a circle: ${cycle.join(" -> ")}`);
  }
  return problems;
}

/**
 * The specs with one more restart for each service whose tasks are to be replaced because those of
 * a dependency are. `before` are the services as they are; new ones have nothing to restart.
 */
export function withRestarts(before: ReadonlyMap<string, ServiceSpec>, specs: Specs): Specs {
  const next: Record<string, ServiceSpec> = { ...specs };
  const isReplaced = (name: string) => {
    const [old, now] = [before.get(name), next[name]];
    return old !== undefined && now !== undefined && !sameTemplate(old, now);
  };
  for (let isNews = true; isNews;) {
    isNews = false;
    for (const [name, spec] of Object.entries(next)) {
      const follows = spec.dependsOn?.some((one) => one.restart && isReplaced(one.service));
      if (follows !== true || isReplaced(name) || !before.has(name)) continue;
      next[name] = { ...spec, restarts: spec.restarts + 1 };
      isNews = true;
    }
  }
  return next;
}

/** What each service depends on: those of the file, and those that stay beside it. */
function edgesOf(view: View, stack: string, specs: Specs): Map<string, string[]> {
  const all = new Map(view.servicesOf(stack).map((one) => [one.name, specOf(one)]));
  for (const [name, spec] of Object.entries(specs)) all.set(name, spec);
  const names = [...all.keys()].sort();
  return new Map(
    names.map((name) => [name, (all.get(name)?.dependsOn ?? []).map(({ service }) => service)]),
  );
}
