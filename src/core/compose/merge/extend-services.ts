import { directoryOf, joinPath } from "../../../lib/path.ts";
import { nearest } from "../../../lib/text.ts";
import { CHAIN_MAX } from "../limits.ts";
import { childPath, quoted } from "../problem.ts";
import { service as serviceShape } from "../properties/root.ts";
import type { Loader } from "../read/loader.ts";
import { mapNode, valueAt, type Entry, type MapNode, type Node } from "../yaml/tree.ts";
import { mergeNodes } from "./merge-nodes.ts";

/** One step of a chain of `extends`. */
interface Link {
  root: MapNode;
  name: string;
}

/** The file with each service that has `extends` laid over the one that it extends. */
export function extendServices(root: MapNode, loader: Loader): MapNode {
  const services = root.entries.get("services");
  if (services?.value.kind !== "map") return root;
  const extended = new Map<string, Entry>();
  const known = new Map<MapNode, Map<string, Node | undefined>>();
  let changed = false;
  for (const [name, entry] of services.value.entries) {
    const value = resolve({ root, name }, { loader, known, chain: [] }) ?? entry.value;
    changed ||= value !== entry.value;
    extended.set(name, { key: entry.key, value });
  }
  if (!changed) return root;
  const value = mapNode(services.value.at, extended);
  const entries = new Map(root.entries).set("services", { key: services.key, value });
  return mapNode(root.at, entries);
}

interface Resolving {
  loader: Loader;
  known: Map<MapNode, Map<string, Node | undefined>>;
  /** From the service that was begun with to the one that leads here. */
  chain: readonly Link[];
}

/** The service with what it extends; undefined when there is no such service. */
function resolve(link: Link, resolving: Resolving): Node | undefined {
  const { known, chain, loader } = resolving;
  const ofRoot = known.get(link.root) ?? new Map<string, Node | undefined>();
  known.set(link.root, ofRoot);
  if (ofRoot.has(link.name)) return ofRoot.get(link.name);
  const service = valueAt(valueAt(link.root, "services"), link.name);
  const extension = valueAt(service, "extends");
  if (service === undefined || extension === undefined) return service;
  const path = `${childPath("services", link.name)}.extends`;
  const base = baseOf(extension, path, { link, loader });
  const links = [...chain, link];
  let node = service;
  if (base !== undefined && !isCircle(links, base, { extension, path, loader })) {
    const value = resolve(base, { ...resolving, chain: links });
    if (value === undefined) refuseMissing(base, { extension, path, loader });
    else node = mergeNodes(withoutExtends(value), service, serviceShape, loader.budget);
  }
  ofRoot.set(link.name, node);
  return node;
}

/** Which service an `extends` means; wrong types are left for validation to tell. */
function baseOf(
  extension: Node,
  path: string,
  { link, loader }: { link: Link; loader: Loader },
): Link | undefined {
  const service = extension.kind === "scalar" ? extension : valueAt(extension, "service");
  if (service?.kind !== "scalar" || service.value === null) return undefined;
  const file = valueAt(extension, "file");
  if (file === undefined) return { root: link.root, name: service.text };
  if (file.kind !== "scalar" || typeof file.value !== "string") return undefined;
  const filePath = joinPath(file.at.file.directory, file.text);
  const { lookup } = file.at.file;
  const asker = { at: file.at, path: `${path}.file` };
  const root = loader.composeFile(filePath, { directory: directoryOf(filePath), lookup, asker });
  return root && { root, name: service.text };
}

interface Where {
  extension: Node;
  path: string;
  loader: Loader;
}

function isCircle(links: readonly Link[], next: Link, { extension, path, loader }: Where): boolean {
  const first = links.findIndex(({ root, name }) => root === next.root && name === next.name);
  if (first >= 0) {
    const names = [...links.slice(first), next].map(({ name }) => quoted(name)).join(" -> ");
    loader.findings.incomplete = true;
    loader.problems.error(extension.at, path, `${path} goes round in a circle: ${names}`);
    return true;
  }
  if (links.length < CHAIN_MAX) return false;
  loader.findings.incomplete = true;
  loader.problems.error(extension.at, path, `${path} makes a chain of more than ${CHAIN_MAX}`);
  return true;
}

function refuseMissing(base: Link, { extension, path, loader }: Where): void {
  loader.findings.incomplete = true;
  const services = valueAt(base.root, "services");
  const names = services?.kind === "map" ? services.entries.keys() : [];
  const guess = nearest(base.name, names);
  const hint = guess === undefined ? "" : `; did you mean ${guess}?`;
  const file = base.root.at.file.name;
  const message = `${path} extends ${quoted(base.name)}, which ${file} does not have${hint}`;
  loader.problems.error(extension.at, path, message);
}

function withoutExtends(node: Node): Node {
  if (node.kind !== "map" || !node.entries.has("extends")) return node;
  const entries = new Map(node.entries);
  entries.delete("extends");
  return mapNode(node.at, entries);
}
