import { directoryOf, joinPath } from "../../../lib/path.ts";
import { CHAIN_MAX } from "../limits.ts";
import { childPath, quoted } from "../problem.ts";
import { root as rootShape } from "../properties/root.ts";
import { lookupWithEnvFiles } from "../read/environment.ts";
import type { Loader } from "../read/loader.ts";
import type { Place } from "../source-file.ts";
import { validateKeys } from "../validate.ts";
import { equalNodes, mapNode, valueAt, type Entry, type MapNode, type Node } from "../yaml/tree.ts";
import { extendServices } from "./extend-services.ts";
import { mergeNodes } from "./merge-nodes.ts";

/** What an included file adds to the one that includes it. */
const SECTIONS = ["services", "volumes", "networks", "secrets", "configs", "models"];

/**
 * One file of a project with its services extended and its includes added.
 * @param chain paths of the files that include this one, the outermost first
 */
export function completeFile(
  file: MapNode,
  loader: Loader,
  chain: readonly string[] = [],
): MapNode {
  const root = extendServices(file, loader);
  const include = valueAt(root, "include");
  if (include?.kind !== "list") return root;
  const included = include.items.map((item, i) => {
    return readInclude(item, `include[${i}]`, { loader, chain: [...chain, file.at.file.path] });
  });
  return included.reduce<MapNode>(
    (to, from) => (from === undefined ? to : addResources(to, from, loader)),
    root,
  );
}

interface Including {
  loader: Loader;
  chain: readonly string[];
}

/** The files of one item of `include`, merged; undefined when there is nothing to add. */
function readInclude(item: Node, path: string, including: Including): MapNode | undefined {
  const { loader } = including;
  const base = item.at.file;
  const written = textsOf(item.kind === "scalar" ? item : valueAt(item, "path"));
  const paths = written.map(({ text, at }) => ({ path: joinPath(base.directory, text), at, text }));
  const first = paths[0];
  // An item of a wrong type is left for validation to tell.
  if (first === undefined) return undefined;
  const given = textsOf(valueAt(item, "project_directory"))[0];
  const directory =
    given === undefined ? directoryOf(first.path) : joinPath(base.directory, given.text);
  const envFiles = textsOf(valueAt(item, "env_file")).map(({ text }) => {
    return joinPath(base.directory, text);
  });
  const asker = { at: item.at, path };
  const lookup =
    envFiles.length === 0 && directory === base.directory
      ? base.lookup
      : lookupWithEnvFiles({ paths: envFiles, directory, first: base.lookup, asker }, loader);
  let merged: MapNode | undefined;
  for (const { path: filePath, at, text } of paths) {
    if (isRemote(text)) {
      loader.findings.incomplete = true;
      const message = `${path} names ${quoted(text)}; only files of this machine can be included`;
      loader.problems.error(at, path, message);
      continue;
    }
    if (isCircle(filePath, at, { path, including })) continue;
    const tree = loader.composeFile(filePath, { directory, lookup, asker: { at, path } });
    if (tree === undefined || rootShape.map === undefined) continue;
    validateKeys(tree, rootShape.map, loader.findings);
    const complete = completeFile(tree, loader, including.chain);
    const joined: Node | undefined =
      merged && mergeNodes(merged, complete, rootShape, loader.budget);
    merged = joined?.kind === "map" ? joined : complete;
  }
  return merged;
}

function isRemote(path: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(path) || path.startsWith("git@");
}

function isCircle(
  filePath: string,
  at: Place,
  { path, including }: { path: string; including: Including },
): boolean {
  const { chain, loader } = including;
  if (!chain.includes(filePath) && chain.length < CHAIN_MAX) return false;
  loader.findings.incomplete = true;
  const message = chain.includes(filePath)
    ? `${path} goes round in a circle: ${quoted(filePath)} includes itself`
    : `${path} makes a chain of more than ${CHAIN_MAX} includes`;
  loader.problems.error(at, path, message);
  return true;
}

interface Written {
  text: string;
  at: Place;
}

/** The texts of one value or a list of them. */
function textsOf(node: Node | undefined): Written[] {
  const nodes = node?.kind === "list" ? node.items : node === undefined ? [] : [node];
  return nodes.flatMap((item) =>
    item.kind === "scalar" && typeof item.value === "string" ? [item] : [],
  );
}

/** `to` with the resources of an included file. What both have must be the same. */
function addResources(to: MapNode, from: MapNode, loader: Loader): MapNode {
  const entries = new Map(to.entries);
  for (const section of SECTIONS) {
    const added = from.entries.get(section);
    const present = entries.get(section);
    if (added === undefined) continue;
    if (present?.value.kind !== "map" || added.value.kind !== "map") {
      entries.set(section, added);
      continue;
    }
    const joined = new Map<string, Entry>(present.value.entries);
    for (const [name, entry] of added.value.entries) {
      const other = joined.get(name);
      if (other === undefined) joined.set(name, entry);
      else if (!equalNodes(other.value, entry.value)) {
        const path = childPath(section, name);
        const { line } = entry.key.file.positionOf(entry.key.offset);
        const also = `${entry.key.file.name}:${line}`;
        const message = `${path} is also defined in the included file ${also}, and differs there`;
        loader.problems.error(other.key, path, message);
      }
    }
    entries.set(section, { key: present.key, value: mapNode(present.value.at, joined) });
  }
  return mapNode(to.at, entries);
}
