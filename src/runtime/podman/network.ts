import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { NodeId } from "../../model/ids.ts";
import { LABELS, type BridgeNetwork } from "../driver.ts";
import type { PodmanHttp } from "./http.ts";

const networkSchema = z.object({
  driver: z.string(),
  network_interface: z.string().default(""),
  dns_enabled: z.boolean().default(false),
  subnets: z.array(z.object({ subnet: z.string(), gateway: z.string().optional() })).nullish(),
});
type PodmanNetwork = z.infer<typeof networkSchema>;

/** Makes the node's bridge, or accepts the one that is there when it is the same. */
export async function ensureNetwork(
  http: PodmanHttp,
  network: BridgeNetwork,
  nodeId: NodeId,
): Promise<void> {
  const found = await findNetwork(http, network.name);
  if (found !== undefined) return requireSame(found, network);
  try {
    await http.send("POST", "/networks/create", {
      json: {
        name: network.name,
        driver: "bridge",
        network_interface: network.name,
        // Names are orchd's own business; Podman's name server would answer on the same address.
        dns_enabled: false,
        ipv6_enabled: false,
        subnets: [{ subnet: network.subnet, gateway: network.gateway }],
        labels: { [LABELS.owner]: nodeId },
      },
    });
  } catch (error) {
    if (!(error instanceof OrchdError) || error.code === "unreachable") throw error;
    const message = `the node's network ${network.name} with ${network.subnet} could not be made`;
    throw new OrchdError(error.code, message, { cause: error });
  }
}

async function findNetwork(http: PodmanHttp, name: string): Promise<PodmanNetwork | undefined> {
  try {
    return await http.json(networkSchema, "GET", `/networks/${encodeURIComponent(name)}/json`);
  } catch (error) {
    // Not there yet: the ordinary case on a new node.
    if (error instanceof OrchdError && error.code === "notFound") return undefined;
    throw error;
  }
}

function requireSame(found: PodmanNetwork, wanted: BridgeNetwork): void {
  const [subnet, ...more] = found.subnets ?? [];
  const same =
    found.driver === "bridge" &&
    found.network_interface === wanted.name &&
    !found.dns_enabled &&
    more.length === 0 &&
    subnet?.subnet === wanted.subnet &&
    (subnet.gateway ?? wanted.gateway) === wanted.gateway;
  if (same) return;
  const is = subnet === undefined ? "no subnet" : subnet.subnet;
  throw new OrchdError(
    "conflict",
    `Podman's network ${wanted.name} is not as orchd needs it (it has ${is}, wanted is ` +
      `${wanted.subnet} without DNS); remove it with: podman network rm ${wanted.name}`,
  );
}
