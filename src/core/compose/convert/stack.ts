import { hasActions } from "../../../lib/go-template.ts";
import { SERVICE_NAME_PATTERN } from "../../../model/names.ts";
import type { ServiceSpec } from "../../../model/service.ts";
import { SERVICES_MAX, type StackSpec } from "../../../model/stack.ts";
import { quoted } from "../problem.ts";
import type { Loader } from "../read/loader.ts";
import type { MapNode, Node } from "../yaml/tree.ts";
import { refuseUnknownAffinity } from "./affinity.ts";
import { Cursor } from "./cursor.ts";
import { letComplete, refuseDependencies, warnOfNoHealth } from "./dependencies.ts";
import { refuseSharedRules } from "./ingress.ts";
import { applyLinks } from "./links.ts";
import { refuseSharedNetworks } from "./network.ts";
import { networksOf } from "./networks.ts";
import { refuseSharedPorts, type PlacedPort } from "./ports.ts";
import { declaredItems, itemsOf, type ItemContent } from "./items.ts";
import { convertService } from "./service.ts";
import { volumesOf } from "./volumes.ts";

export interface StackContext {
  name: string;
  /** Services that no chosen profile has. */
  inactive: ReadonlySet<Node>;
  loader: Loader;
}

/** A validated project as a stack; only to be used when no problem is an error. */
export function convertStack(
  root: MapNode,
  context: StackContext,
): { spec: StackSpec; contents: ItemContent[] } {
  const { name, inactive, loader } = context;
  const file = new Cursor(root, "", loader.findings);
  const volumes = volumesOf(file.get("volumes"), name);
  const networks = networksOf(file.get("networks"), name);
  const items = itemsOf(file, name);
  const services = new Map<string, ServiceSpec>();
  const ports = new Map<string, PlacedPort[]>();
  const all = file.get("services")?.entries() ?? [];
  for (const [key, service] of all) {
    if (!SERVICE_NAME_PATTERN.test(key)) refuseName(key, service);
    if (!service.isMap || inactive.has(service.node)) continue;
    const context = { stack: name, networks, volumes, items, loader };
    const converted = convertService(service, context);
    services.set(key, converted.spec);
    ports.set(key, converted.ports);
  }
  refuseSharedPorts(ports);
  refuseSharedRules(all, services);
  applyLinks(all, services);
  refuseSharedNetworks(all, services);
  refuseDependencies(all, services);
  letComplete(services, all);
  warnOfNoHealth(services, all);
  refuseUnknownAffinity(all);
  refuseCount(file, services.size, all.length);
  const { declared, contents } = declaredItems(items, { loader, isWhole: inactive.size === 0 });
  const spec: StackSpec = {
    services: Object.fromEntries(services),
    volumes: [...volumes.byKey.values()]
      .filter((volume) => !volume.external && !hasActions(volume.name))
      .map((volume) => volume.name)
      .toSorted(),
    ...(declared.length === 0 ? {} : { items: declared }),
  };
  return { spec, contents };
}

function refuseName(key: string, service: Cursor): void {
  const { findings, keyAt, path } = service;
  const rule = "use 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends";
  findings.problems.error(keyAt, path, `${quoted(key)} is no name for a service: ${rule}`);
}

function refuseCount(file: Cursor, active: number, all: number): void {
  if (file.findings.problems.hasErrors && all === 0) return;
  const at = file.get("services") ?? file;
  const { problems } = file.findings;
  if (all === 0) problems.error(at.keyAt, "services", "the files have no services");
  else if (active === 0 && !problems.hasErrors) {
    const message = "every service has a profile: choose one with --profile";
    problems.error(at.keyAt, "services", message);
  }
  if (active > SERVICES_MAX) {
    problems.error(at.keyAt, "services", `there are more than ${SERVICES_MAX} services`);
  }
}
