import { z } from "zod";
import { address6Of, subnet6Of } from "../../core/network/address6.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { NodeId } from "../../model/ids.ts";
import { LABELS, type BridgeNetwork } from "../driver.ts";
import type { PodmanHttp } from "../podman/http.ts";
import { keepLinkAddress } from "../podman/link-address.ts";

const BRIDGE_NAME = "com.docker.network.bridge.name";

const networkSchema = z.object({
  Name: z.string(),
  Driver: z.string(),
  Labels: z.record(z.string(), z.string()).nullish(),
  Options: z.record(z.string(), z.string()).nullish(),
  IPAM: z.object({
    Config: z.array(z.object({ Subnet: z.string(), Gateway: z.string().optional() })).nullish(),
  }),
});
type DockerNetwork = z.infer<typeof networkSchema>;

/** How creating and starting fail when somebody has removed the network. */
const NETWORK_GONE = /network \S+ not found/;

/** Until the node's network is known; containers without a network need none. */
const UNKNOWN: BridgeNetwork = { name: "orchd0", subnet: "", gateway: "127.0.0.1" };

/** The node's bridge as a network of Docker, which comes back when somebody removes it. */
export class DockerNetworks {
  readonly #http: PodmanHttp;
  readonly #nodeId: NodeId;
  #known: BridgeNetwork | undefined;

  constructor(http: PodmanHttp, nodeId: NodeId) {
    this.#http = http;
    this.#nodeId = nodeId;
  }

  get bridge(): BridgeNetwork {
    return this.#known ?? UNKNOWN;
  }

  /** Makes it, or accepts the one that is there when it is the same, and remembers it. */
  async ensure(network: BridgeNetwork): Promise<void> {
    const found = await this.#find(network.name);
    if (found === undefined) await this.#make(network);
    else requireSame(found, network);
    await keepLinkAddress(network);
    this.#known = network;
  }

  /** Removes it if it is this node's own, and no container is in it. */
  async remove(name: string): Promise<void> {
    this.#known = undefined;
    const found = await this.#find(name);
    if (found?.Labels?.[LABELS.owner] !== this.#nodeId) return;
    await this.#http.send("DELETE", `/networks/${encodeURIComponent(name)}`);
  }

  /** Makes `call`; when it fails for want of the network, makes that anew and calls once more. */
  async within<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const known = this.#known;
      const isGone = error instanceof OrchdError && NETWORK_GONE.test(error.message);
      if (!isGone || known === undefined) throw error;
      await this.ensure(known);
      return call();
    }
  }

  async #make(network: BridgeNetwork): Promise<void> {
    try {
      await this.#http.send("POST", "/networks/create", {
        json: {
          Name: network.name,
          // Docker would make several of one name.
          CheckDuplicate: true,
          Driver: "bridge",
          ...(network.range6 === undefined ? {} : { EnableIPv6: true }),
          IPAM: { Config: configOf(network) },
          Options: {
            [BRIDGE_NAME]: network.name,
            // What leaves the node is orchd's own packet filter's business.
            "com.docker.network.bridge.enable_ip_masquerade": "false",
            ...(network.mtu === undefined
              ? {}
              : { "com.docker.network.driver.mtu": `${network.mtu}` }),
          },
          Labels: { [LABELS.owner]: this.#nodeId },
        },
      });
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code === "unreachable") throw error;
      // Another task found it missing at the same time.
      if (error.code === "conflict" && (await this.#find(network.name)) !== undefined) return;
      const message = `the node's network ${network.name} with ${network.subnet} could not be made`;
      throw new OrchdError(error.code, message, { cause: error });
    }
  }

  async #find(name: string): Promise<DockerNetwork | undefined> {
    try {
      const path = `/networks/${encodeURIComponent(name)}`;
      const found = await this.#http.json(networkSchema, "GET", path);
      // Docker takes the beginning of an id for one, too.
      return found.Name === name ? found : undefined;
    } catch (error) {
      // Not there yet: the ordinary case on a new node.
      if (error instanceof OrchdError && error.code === "notFound") return undefined;
      throw error;
    }
  }
}

/** The IPv4 one first. */
function configOf({ subnet, gateway, range6 }: BridgeNetwork) {
  const inet = { Subnet: subnet, Gateway: gateway };
  if (range6 === undefined) return [inet];
  return [inet, { Subnet: subnet6Of(range6, subnet), Gateway: address6Of(range6, gateway) }];
}

function requireSame(found: DockerNetwork, wanted: BridgeNetwork): void {
  const [has, needs] = [found.IPAM.Config ?? [], configOf(wanted)];
  const isSame =
    found.Driver === "bridge" &&
    found.Options?.[BRIDGE_NAME] === wanted.name &&
    has.length === needs.length &&
    needs.every(({ Subnet, Gateway }) =>
      has.some((one) => one.Subnet === Subnet && (one.Gateway ?? Gateway) === Gateway),
    );
  if (isSame) return;
  const textOf = (list: readonly { Subnet: string }[]) =>
    list.map(({ Subnet }) => Subnet).join(", ");
  throw new OrchdError(
    "conflict",
    `Docker's network ${wanted.name} is not as orchd needs it (it has ` +
      `${textOf(has) || "no subnet"}, wanted is ${textOf(needs)}); ` +
      `remove it with: docker network rm ${wanted.name}`,
  );
}
