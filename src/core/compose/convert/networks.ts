import { nearest } from "../../../lib/text.ts";
import {
  ALIASES_MAX,
  ATTACHMENTS_MAX,
  type Attachment,
  defaultNetworkOf,
} from "../../../model/attachment.ts";
import { sortedBy } from "../../../lib/order.ts";
import { NETWORKS_MAX } from "../limits.ts";
import { quoted } from "../problem.ts";
import { isHostName } from "./addresses.ts";
import type { Cursor } from "./cursor.ts";
import { networkOwnerOf, textsOf } from "./network.ts";

type NetworkDefinition = Pick<Attachment, "network" | "internal">;

/** The networks that a file defines, by their keys in it; `default` is always among them. */
export interface Networks {
  byKey: ReadonlyMap<string, NetworkDefinition>;
  /** Every key of the file, also of a network that could not be used. */
  keys: ReadonlySet<string>;
}

const DEFAULT = "default";
const NETWORK_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const NETWORK_RULE =
  "is no name for a network: use letters, digits, '_', '.' or '-', with a letter or digit first";

/** By default a network is named after its stack and its key, and an external one after its key. */
export function networksOf(top: Cursor | undefined, stack: string): Networks {
  const byKey = new Map<string, NetworkDefinition>();
  const keys = new Set<string>();
  for (const [key, network] of top?.entries() ?? []) {
    keys.add(key);
    const definition = definitionOf(key, network, stack);
    if (definition !== undefined) byKey.set(key, definition);
  }
  if (keys.size > NETWORKS_MAX) top?.error(`has more than ${NETWORKS_MAX} networks`);
  if (!keys.has(DEFAULT)) {
    byKey.set(DEFAULT, { network: defaultNetworkOf(stack), internal: false });
  }
  return { byKey, keys };
}

function definitionOf(key: string, at: Cursor, stack: string): NetworkDefinition | undefined {
  const external = externalOf(at);
  const own = key === DEFAULT ? defaultNetworkOf(stack) : `${stack}_${key}`;
  const network = at.get("name")?.text() ?? external.name ?? (external.is ? key : own);
  if (!NETWORK_NAME.test(network)) {
    at.errorAtKey(`has the name ${quoted(network)}, which ${NETWORK_RULE}`);
    return undefined;
  }
  const isNodes = network === "host" || network === "none";
  if (isNodes && (external.is || at.get("driver") !== undefined)) {
    at.errorAtKey(`can't be the node's own ${network}; give services network_mode: ${network}`);
    return undefined;
  }
  const internal = at.get("internal");
  if (external.is && internal?.flag() === true) {
    internal.error("has no effect on an external network; the stack that defines it says so");
  }
  return { network, internal: internal?.flag() ?? false };
}

function externalOf(network: Cursor): { is: boolean; name?: string } {
  const external = network.get("external");
  if (external === undefined) return { is: false };
  if (!external.isMap) return { is: external.flag() ?? false };
  const name = external.get("name")?.text();
  return name === undefined ? { is: true } : { is: true, name };
}

/** The networks of one service, by name; the default one where it names none. */
export function attachmentsOf(service: Cursor, networks: Networks): Attachment[] {
  const mode = service.get("network_mode")?.text();
  if (mode === "host" || mode === "none" || networkOwnerOf(service) !== undefined) return [];
  const list = service.get("networks");
  const given = list?.entries("names") ?? [];
  const byName = new Map<string, Attachment>();
  for (const [key, at] of given) {
    const definition = networkNamed(key, at, networks);
    if (definition === undefined) continue;
    const aliases = [...(byName.get(definition.network)?.aliases ?? []), ...aliasesOf(at)];
    byName.set(definition.network, { ...definition, aliases: [...new Set(aliases)] });
  }
  const standard = networks.byKey.get(DEFAULT);
  // An empty list asks for nothing else than no list.
  if (given.length === 0 && standard !== undefined) return [{ ...standard, aliases: [] }];
  if (byName.size > ATTACHMENTS_MAX) list?.error(`has more than ${ATTACHMENTS_MAX} networks`);
  return sortedBy(byName.values(), ({ network }) => network);
}

function networkNamed(
  key: string,
  at: Cursor,
  { byKey, keys }: Networks,
): NetworkDefinition | undefined {
  const found = byKey.get(key);
  if (found !== undefined || keys.has(key) || at.findings.incomplete) return found;
  const guess = nearest(key, keys);
  const hint = guess === undefined ? "add it there" : `did you mean ${guess}?`;
  at.errorAtKey(`names the network ${quoted(key)}, which is not under networks; ${hint}`);
  return undefined;
}

function aliasesOf(at: Cursor): string[] {
  const list = at.get("aliases");
  if (list === undefined) return [];
  for (const item of list.items()) {
    const alias = item.text() ?? "";
    if (!isHostName(alias)) item.error(`has the alias ${quoted(alias)}, which is no host name`);
  }
  const aliases = textsOf(list);
  if (aliases.length > ALIASES_MAX) list.error(`has more than ${ALIASES_MAX} aliases`);
  return aliases;
}
