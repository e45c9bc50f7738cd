import { address6Of, subnet6Of } from "./address6.ts";

/** One of the two kinds of addresses: a node has a table of rules for each. */
export interface Family {
  /** As rules and the names of tables have it. */
  name: "ip" | "ip6";
  /** Of the elements of a set. */
  type: "ipv4_addr" | "ipv6_addr";
  /** Of everybody who listens. */
  multicast: string;
  /** Of who tells that nobody is there. */
  control: "icmp" | "icmpv6";
  /** The address of this kind that goes with one of IPv4. */
  address(address: string): string;
  /** The network that goes with one of IPv4. */
  network(subnet: string): string;
}

export const IPV4: Family = {
  name: "ip",
  type: "ipv4_addr",
  multicast: "224.0.0.0/4",
  control: "icmp",
  address: (address) => address,
  network: (subnet) => subnet,
};

/** That of a cluster whose tasks have IPv6 addresses of this network. */
export function ipv6Of(range6: string): Family {
  return {
    name: "ip6",
    type: "ipv6_addr",
    multicast: "ff00::/8",
    control: "icmpv6",
    address: (address) => address6Of(range6, address),
    network: (subnet) => subnet6Of(range6, subnet),
  };
}
