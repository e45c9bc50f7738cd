import type { DiskSpace } from "../../model/disk.ts";
import type { NetworkMode } from "../../model/network-map.ts";

/** Who has a port; undefined fields where nobody can tell. */
export interface Holder {
  pid: number | undefined;
  /** Of the program; `the kernel` for what no process has. */
  name: string;
  isOrchd: boolean;
}

/** A port that orchd needs here, and who has it now. */
export interface PortFact {
  port: number;
  protocol: "tcp" | "udp";
  purpose: PortPurpose;
  /** The one address on which it is needed; absent means all. */
  address?: string;
  holder: Holder | undefined;
}

export type PortPurpose =
  "server" | "discovery" | "gossip" | "vxlan" | "wireguard" | "names" | "http" | "https";

/** The way to another node, tried with packets that nobody may cut to pieces. */
export interface PathFact {
  node: string;
  address: string;
  /** Bytes of the packets that the nodes send each other. */
  size: number;
  /** The largest that got through; 0 when none did, also of the smallest. */
  largest: number;
}

/** A firewall of somebody else that stands in the way. */
export interface FirewallFact {
  what: string;
  why: string;
  remedy: string;
}

/** A certificate that this node keeps for a host. */
export interface CertificateFact {
  host: string;
  /** By people, who must renew it themselves. */
  isGiven: boolean;
  /** Negative when it is over. */
  leftMs: number;
}

/** An orchd on this machine that takes part in its container network. */
export interface RunningOrchd {
  pid: number;
  /** Its command line without the path: `orchd join`. */
  command: string;
}

/** Each part is absent where it could not be found out. */
export interface MachineFacts {
  ports?: PortFact[];
  /** Whether the kernel passes packets on, and whether orchd, which asks for it, runs. */
  forwarding?: {
    isOn: boolean;
    /** The same of IPv6; absent where tasks have none. */
    isIpv6On?: boolean;
    isOrchdRunning: boolean;
  };
  /** Programs that orchd runs, and are not there. */
  programs?: { missing: string[] };
  /** What the kernel complained of when it was to make one, to try it; absent where it can. */
  kernel?: { nftables?: string; vxlan?: string; bridgeFilter?: string };
  wireguard?: { isThere: boolean };
  /** Undefined inside: nothing is in the way. */
  range?: {
    range: string;
    conflict: { subnet: string; device: string; free?: string } | undefined;
  };
  firewalls?: FirewallFact[];
  mtu?: {
    mode: NetworkMode;
    underlay: { device: string; mtu: number };
    /** The largest packet between tasks of two nodes that the underlay has room for. */
    wanted: number;
    /** Absent where this node has no device for others. */
    tunnel?: { device: string; mtu: number };
  };
  paths?: PathFact[];
  /** How far the machine's clock is ahead of the server's; negative when it is behind. */
  clock?: { server: string; aheadMs: number };
  memory?: { isCounted: boolean; bootLine: string | undefined };
  disks?: DiskSpace[];
  orchds?: RunningOrchd[];
  /** By which this node answers for hosts of the ingress. */
  certificates?: CertificateFact[];
  /** `host:port` of servers of other clusters on the local network. */
  strangers?: string[];
}
