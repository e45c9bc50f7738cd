import { plural } from "../../lib/text.ts";
import type { Finding } from "../../model/diagnosis.ts";
import type { MachineFacts, PathFact } from "./machine-facts.ts";

type Judged = Omit<Finding, "check">[];
type Facts<Check extends keyof MachineFacts> = NonNullable<MachineFacts[Check]>;

/** While orchd does not run nobody has asked for it yet. */
export function judgeForwarding(facts: Facts<"forwarding">): Judged {
  if (!facts.isOrchdRunning) return [];
  const off = [
    ...(facts.isOn ? [] : ["net.ipv4.ip_forward"]),
    ...(facts.isIpv6On === false ? ["net.ipv6.conf.all.forwarding"] : []),
  ];
  return off.map((setting) => ({
    level: "fault",
    what: `the kernel does not pass packets on (${setting} is 0)`,
    why: "published ports, other nodes and the world are not reached by tasks here",
    remedy: `sysctl -w ${setting}=1, and look below /etc/sysctl.d for what switched it off`,
  }));
}

export function judgeKernel({ nftables, vxlan, bridgeFilter }: Facts<"kernel">): Judged {
  const found: Judged = [];
  const add = (complaint: string | undefined, name: string, why: string, module: string) => {
    if (complaint === undefined) return;
    const remedy = `load the module ${module}, or use a kernel that has it`;
    found.push({ level: "fault", what: `the kernel has no ${name} (${complaint})`, why, remedy });
  };
  add(nftables, "nftables", "no port is published and no network is kept apart", "nf_tables");
  add(vxlan, "VXLAN", "tasks here and on other nodes do not reach each other", "vxlan");
  const apart = "tasks of one node reach each other whatever networks they are in";
  add(bridgeFilter, "filter for bridges", apart, "br_netfilter");
  return found;
}

export function judgeWireguard({ isThere }: Facts<"wireguard">): Judged {
  if (isThere) return [];
  return [
    {
      level: "fault",
      what: "this machine has no WireGuard, which the cluster's network uses",
      why: "tasks here and on other nodes do not reach each other",
      remedy: "apt install wireguard-tools wireguard-go, then start orchd again",
    },
  ];
}

export function judgeRange({ range, conflict }: Facts<"range">): Judged {
  if (conflict === undefined) return [];
  const { subnet, device, free } = conflict;
  const such = free === undefined ? "" : `, such as ${free}`;
  return [
    {
      level: "fault",
      what: `this machine routes ${subnet} by ${device}, which overlaps ${range} of the cluster`,
      why: "tasks do not reach what is there, or are not reached themselves",
      remedy: `route it otherwise, or make the cluster with another --cluster-range${such}`,
    },
  ];
}

export function judgeFirewalls(firewalls: Facts<"firewalls">): Judged {
  return firewalls.map((firewall) => ({ level: "fault", ...firewall }));
}

export function judgeMtu({ mode, underlay, wanted, tunnel }: Facts<"mtu">): Judged {
  if (tunnel === undefined || tunnel.mtu <= wanted) return [];
  const { device, mtu } = underlay;
  return [
    {
      level: "fault",
      what:
        `${tunnel.device} lets packets of ${tunnel.mtu} bytes through, ` +
        `while ${device} (${mtu} bytes) has room for ${wanted} within ${mode}`,
      why: "large packets to tasks on other nodes are lost, and connections hang",
      remedy: `ip link set dev ${tunnel.device} mtu ${wanted}, or give ${device} the larger one`,
    },
  ];
}

export function judgePaths(paths: readonly PathFact[]): Judged {
  return paths.flatMap(({ node, address, size, largest }): Judged => {
    // Nothing came back at all: somebody drops pings, which says nothing of sizes.
    if (largest === 0 || largest >= size) return [];
    return [
      {
        level: "fault",
        what:
          `packets of ${size} bytes do not reach ${node} (${address}), ` +
          `those of ${plural(largest, "byte")} do`,
        why: "large packets to its tasks are lost, and connections hang",
        remedy: `give both machines and what is between them the same MTU, or this one ${largest}`,
      },
    ];
  });
}
