import { Host } from "./host.ts";
import { Lab, runHere } from "./lab.ts";
import type { LabRuntime } from "./lab-containers.ts";
import { Switch } from "./switch.ts";

/** A host of a fleet: one port of its switch. */
export class FleetHost extends Host {
  readonly name: string;
  readonly #fleet: Switch;
  readonly #port: number;
  /** What other hosts reach it by. */
  address = "";

  constructor(lab: Lab, fleet: Switch, port: number, runtime?: LabRuntime) {
    super(lab, runtime);
    this.name = `h${port}`;
    this.#fleet = fleet;
    this.#port = port;
  }

  get port(): number {
    return this.#port;
  }

  /** Connects the host, as after its power came. */
  async plugIn(): Promise<void> {
    await this.#fleet.plugIn(this.#port, this.lab.pid);
    await this.moveTo(0);
  }

  /** Gives the host an address in one of the switch's two ranges, as another DHCP server would. */
  async moveTo(range: 0 | 1): Promise<void> {
    this.address = await this.#fleet.address(this.#port, this.lab.pid, range);
  }

  async cutLink(): Promise<void> {
    await this.#fleet.setLink(this.#port, false);
  }

  async mendLink(): Promise<void> {
    await this.#fleet.setLink(this.#port, true);
  }

  /** Makes the host send no more than so many bits a second, as a narrow uplink does. */
  async limitUplink(kilobits: number): Promise<void> {
    const rate = ["tbf", "rate", `${kilobits}kbit`, "burst", "256kb", "latency", "400ms"];
    await this.#inside(["tc", "qdisc", "replace", "dev", "eth0", "root", ...rate]);
  }

  /** Drops what comes in for a port of the host, as a firewall would. */
  async block(protocol: "tcp" | "udp", port: number): Promise<void> {
    for (const command of [
      "add table inet firewall",
      "add chain inet firewall in { type filter hook input priority -10; }",
      `add rule inet firewall in ${protocol} dport ${port} drop`,
    ]) {
      await this.#inside(["nft", command]);
    }
  }

  /** As if the plug was pulled: every process is gone at once, unheard, and the disk stays. */
  async cutPower(): Promise<void> {
    // A kernel says farewell to the peers of processes that end; a machine without power can't.
    await this.cutLink();
    await this.lab.cutPower();
  }

  /** The power comes back. */
  async boot(): Promise<void> {
    this.lab = await Lab.start({ hostname: this.name, dir: this.lab.dir });
    await this.plugIn();
    await this.mendLink();
  }

  async #inside(command: string[]): Promise<void> {
    await runHere(["nsenter", "-t", `${this.lab.pid}`, "-n", "--", ...command]);
  }
}

/** Several hosts on one machine, on one switch. */
export class Fleet {
  readonly switch: Switch;
  readonly hosts: readonly FleetHost[];

  private constructor(fleetSwitch: Switch, hosts: readonly FleetHost[]) {
    this.switch = fleetSwitch;
    this.hosts = hosts;
  }

  /** @param runtimes of the hosts, in their order; those without one have Podman */
  static async start(count: number, runtimes: readonly LabRuntime[] = []): Promise<Fleet> {
    const fleetSwitch = await Switch.start();
    const hosts = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const lab = await Lab.start({ hostname: `h${i + 1}` });
        const host = new FleetHost(lab, fleetSwitch, i + 1, runtimes[i]);
        await host.plugIn();
        return host;
      }),
    );
    return new Fleet(fleetSwitch, hosts);
  }

  /** The host of that name: `h1`. */
  host(name: string): FleetHost {
    const found = this.hosts.find((host) => host.name === name);
    if (found === undefined) throw new Error(`the lab has no host ${name}`);
    return found;
  }

  async stop(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.stop()));
    await this.switch.stop();
  }
}
