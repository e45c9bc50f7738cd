import { nearest } from "../../../lib/text.ts";
import { findCycle, type Dependency } from "../../../model/dependency.ts";
import type { ServiceSpec } from "../../../model/service.ts";
import { linksOf } from "./links.ts";
import { networkOwnerOf } from "./network.ts";
import { parseFlag } from "./units.ts";
import type { Cursor } from "./cursor.ts";

const CONDITIONS: Readonly<Record<string, Dependency["condition"]>> = {
  service_started: "started",
  service_healthy: "healthy",
  service_completed_successfully: "completed",
};

/** What a service waits for; undefined where it waits for nothing. */
export function dependenciesOf(service: Cursor): Dependency[] | undefined {
  const entries = service.get("depends_on")?.entries("names") ?? [];
  const said = entries.map(([name, value]) => ({
    service: name,
    condition: CONDITIONS[value.get("condition")?.text() ?? ""] ?? "started",
    restart: value.get("restart")?.parsed(parseFlag, "must be true or false") ?? false,
    required: value.get("required")?.text() !== "false",
  }));
  const named = new Set(said.map((one) => one.service));
  const owner = networkOwnerOf(service);
  const linked = new Set([
    ...linksOf(service).map(({ target }) => target),
    ...(owner === undefined ? [] : [owner]),
  ]);
  // A link, or a network that is shared, says that the other one is to be there first, as the
  // Compose Specification has it.
  const implied = [...linked].flatMap((name): Dependency[] =>
    named.has(name)
      ? []
      : [{ service: name, condition: "started", restart: false, required: true }],
  );
  return said.length + implied.length === 0 ? undefined : [...said, ...implied];
}

/** Refuses what `depends_on` names and is not there, and services that wait for each other. */
export function refuseDependencies(
  all: readonly [string, Cursor][],
  active: ReadonlyMap<string, ServiceSpec>,
): void {
  const names = new Set(all.map(([name]) => name));
  const at = new Map<string, Cursor>();
  for (const [service, cursor] of all) {
    for (const link of linksOf(cursor)) at.set(`${service}/${link.target}`, link.at);
    for (const [name, value] of cursor.get("depends_on")?.entries("names") ?? []) {
      at.set(`${service}/${name}`, value);
      const optional = value.get("required")?.text() === "false";
      if (optional || value.findings.incomplete) continue;
      if (!names.has(name)) refuseUnknown(name, value, names);
      else if (active.has(service) && !active.has(name)) refuseInactive(name, value);
    }
  }
  const edges = [...active].map(([name, { dependsOn }]): [string, string[]] => {
    return [name, (dependsOn ?? []).map((one) => one.service)];
  });
  const cycle = findCycle(new Map(edges));
  const [first, second] = cycle ?? [];
  const place = at.get(`${first ?? ""}/${second ?? ""}`);
  if (cycle === undefined || place === undefined) return;
  const { findings, keyAt, path } = place;
  findings.problems.error(keyAt, path, `${path} closes a circle: ${cycle.join(" -> ")}`);
}

/**
 * A service that others wait for to complete ends when it has done its work, unless the file says
 * that it is to be started again.
 */
export function letComplete(
  services: ReadonlyMap<string, ServiceSpec>,
  all: readonly [string, Cursor][],
): void {
  const awaited = [...services.values()]
    .flatMap(({ dependsOn }) => dependsOn ?? [])
    .filter(({ condition }) => condition === "completed");
  for (const { service: name } of awaited) {
    const spec = services.get(name);
    const cursor = all.find(([key]) => key === name)?.[1];
    const says = cursor?.has("restart") || cursor?.get("deploy")?.has("restart_policy");
    if (spec === undefined || says === true) continue;
    spec.restart = { ...spec.restart, condition: "on-failure" };
  }
}

/** Warns of waiting for the health of a service that says that it has none. */
export function warnOfNoHealth(
  services: ReadonlyMap<string, ServiceSpec>,
  all: readonly [string, Cursor][],
): void {
  for (const [name, cursor] of all) {
    if (!services.has(name)) continue;
    for (const [key, value] of cursor.get("depends_on")?.entries("names") ?? []) {
      const condition = value.get("condition");
      const probes = services.get(key)?.container.probes;
      const says = probes?.startup ?? probes?.ready;
      if (condition?.text() !== "service_healthy" || says !== undefined) continue;
      if (probes?.healthcheck?.disabled !== true) continue;
      condition.warn(`waits until ${key} is ready: it has its healthcheck disabled`);
    }
  }
}

function refuseUnknown(name: string, value: Cursor, names: ReadonlySet<string>): void {
  const guess = nearest(name, names);
  const hint = guess === undefined ? "" : `; did you mean ${guess}?`;
  const message = `${value.path} names no service${hint}`;
  value.findings.problems.error(value.keyAt, value.path, message);
}

function refuseInactive(name: string, value: Cursor): void {
  const hint = `choose one of ${name}'s with --profile, or say required: false`;
  const message = `${value.path} needs a service that no chosen profile has: ${hint}`;
  value.findings.problems.error(value.keyAt, value.path, message);
}
