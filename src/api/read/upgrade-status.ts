import type { Node } from "../../model/node.ts";
import type { Upgrade, UpgradeRequest, UpgradeStatus } from "../../model/upgrade.ts";
import type { View } from "../../model/view.ts";
import type { ApiDeps } from "../deps.ts";
import { resolveTarget } from "./target.ts";

/** How far an upgrade is, node by node. */
export function upgradeStatus(
  view: View,
  upgrade: Upgrade,
  { isConnected, versionOfLoneServer }: ApiDeps["upgrades"],
): UpgradeStatus {
  const { id: _id, version: _version, executables: _executables, nodes, ...plan } = upgrade;
  const serverVersion = versionOfLoneServer();
  return {
    ...plan,
    ...(serverVersion === undefined ? {} : { serverVersion }),
    nodes: nodes.flatMap(({ id, state, problem }) => {
      const node = view.nodes.get(id);
      if (node === undefined) return [];
      const isAway = state === "waiting" && !isConnected(id);
      return {
        id,
        node: node.hostname,
        state: isAway ? "away" : state,
        version: node.orchdVersion,
        isServer: node.roles.server,
        ...(problem === undefined ? {} : { problem }),
      };
    }),
  };
}

/**
 * The nodes that a request means: those of these names, or all, with all these labels.
 * @throws OrchdError `notFound`
 */
export function nodesMeant(
  view: View,
  { nodes: names, labels }: Pick<UpgradeRequest, "nodes" | "labels">,
): Node[] {
  const named = names?.flatMap((name) => {
    const target = resolveTarget(view, name, ["node"]);
    return target.kind === "node" ? [target.node] : [];
  });
  const meant = new Set(named ?? view.nodes.values());
  const wanted = Object.entries(labels);
  return [...meant].filter(
    (node) => node.roles.agent && wanted.every(([key, value]) => node.labels[key] === value),
  );
}
