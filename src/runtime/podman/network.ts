import { z } from "zod";
import { address6Of, subnet6Of } from "../../core/network/address6.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { NodeId } from "../../model/ids.ts";
import { LABELS, type BridgeNetwork } from "../driver.ts";
import type { PodmanHttp } from "./http.ts";
import { keepLinkAddress } from "./link-address.ts";

const networkSchema = z.object({
  driver: z.string(),
  network_interface: z.string().default(""),
  dns_enabled: z.boolean().default(false),
  labels: z.record(z.string(), z.string()).nullish(),
  subnets: z.array(z.object({ subnet: z.string(), gateway: z.string().optional() })).nullish(),
});
type PodmanNetwork = z.infer<typeof networkSchema>;

/** How creating and starting fail when somebody has removed the network. */
const NETWORK_GONE = /unable to find network .*network not found/;

/** Until the node's network is known; containers without a network need none. */
const UNKNOWN: BridgeNetwork = { name: "orchd0", subnet: "", gateway: "127.0.0.1" };

/** The node's bridge, which comes back when somebody removes it (`podman network prune` does). */
export class NodeNetwork {
  readonly #http: PodmanHttp;
  readonly #nodeId: NodeId;
  #known: BridgeNetwork | undefined;
  #remaking: Promise<void> | undefined;

  constructor(http: PodmanHttp, nodeId: NodeId) {
    this.#http = http;
    this.#nodeId = nodeId;
  }

  get bridge(): BridgeNetwork {
    return this.#known ?? UNKNOWN;
  }

  /** Makes it, or accepts the one that is there when it is the same, and remembers it. */
  async ensure(network: BridgeNetwork): Promise<void> {
    await ensureNetwork(this.#http, network, this.#nodeId);
    this.#known = network;
  }

  /** Removes it if it is this node's own, and no container is in it. */
  async remove(name: string): Promise<void> {
    this.#known = undefined;
    const found = await findNetwork(this.#http, name);
    if (found?.labels?.[LABELS.owner] !== this.#nodeId) return;
    await this.#http.send("DELETE", `/networks/${encodeURIComponent(name)}`);
  }

  /** After a start: Podman makes the bridge with the first container, and ends it with the last. */
  async settle(): Promise<void> {
    if (this.#known !== undefined) await keepLinkAddress(this.#known);
  }

  /** Makes `call`; when it fails for want of the network, makes that anew and calls once more. */
  async within<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const known = this.#known;
      const gone = error instanceof OrchdError && NETWORK_GONE.test(error.message);
      if (!gone || known === undefined) throw error;
      // Many tasks find out at the same time; the network is made once.
      this.#remaking ??= this.ensure(known).finally(() => {
        this.#remaking = undefined;
      });
      await this.#remaking;
      return call();
    }
  }
}

/** Makes the node's bridge, or accepts the one that is there when it is the same. */
async function ensureNetwork(
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
        ipv6_enabled: network.range6 !== undefined,
        subnets: subnetsOf(network),
        // A network that was made with another size keeps it: TCP is told the right one anyway.
        ...(network.mtu === undefined ? {} : { options: { mtu: `${network.mtu}` } }),
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

/** The IPv4 one first. */
function subnetsOf({ subnet, gateway, range6 }: BridgeNetwork) {
  const inet = { subnet, gateway };
  if (range6 === undefined) return [inet];
  return [inet, { subnet: subnet6Of(range6, subnet), gateway: address6Of(range6, gateway) }];
}

function requireSame(found: PodmanNetwork, wanted: BridgeNetwork): void {
  const [has, needs] = [found.subnets ?? [], subnetsOf(wanted)];
  const same =
    found.driver === "bridge" &&
    found.network_interface === wanted.name &&
    !found.dns_enabled &&
    has.length === needs.length &&
    needs.every((need, i) => {
      const one = has[i];
      return one?.subnet === need.subnet && (one.gateway ?? need.gateway) === need.gateway;
    });
  if (same) return;
  const textOf = (list: readonly { subnet: string }[]) =>
    list.map(({ subnet }) => subnet).join(", ");
  throw new OrchdError(
    "conflict",
    `Podman's network ${wanted.name} is not as orchd needs it (it has ` +
      `${textOf(has) || "no subnet"}, wanted is ${textOf(needs)} without DNS); ` +
      `remove it with: podman network rm ${wanted.name}`,
  );
}
