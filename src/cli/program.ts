import type { Diagnosis, DoctorOptions } from "../model/diagnosis.ts";
import type { RegistryLogin } from "../model/registry-login.ts";
import type { GossipPreset } from "../model/gossip-preset.ts";
import type { NodeLink } from "../model/link.ts";
import type { NetworkMode } from "../model/network-map.ts";
import type { Strategy } from "../model/service.ts";
import type { BuildInfo } from "./build-info.ts";

/** What runs containers; `auto` takes what is there. */
export const RUNTIME_NAMES = ["auto", "podman", "containerd", "docker", "process", "fake"] as const;
export type RuntimeName = (typeof RUNTIME_NAMES)[number];

/** Where runtimes answer that are not where they usually are. */
export interface RuntimeSockets {
  podman?: string;
  containerd?: string;
  docker?: string;
}

/** Where a node takes requests for services; 0 takes none. */
export interface IngressChoice {
  http: number;
  https: number;
  /** Whether each request has a line in the log. */
  log: boolean;
}

/** What each node is told of the machine that it is on. */
export interface NodeOptions {
  dataDir: string;
  runDir: string;
  runtime: RuntimeName;
  sockets: RuntimeSockets;
  /** Address by which others reach the node; absent means that it is found out. */
  advertise?: string;
  /** How much the machine has of what people gave a name. */
  resources?: Record<string, number>;
  /** Directories of the machine that tasks may mount; absent means all but orchd's own. */
  allowBind?: string[];
  /** Directories of the machine whose programs tasks may run without a container. */
  processes?: string[];
  ingress: IngressChoice;
}

/** What `orchd server` was asked to be. */
export interface ServerOptions extends NodeOptions {
  agent: boolean;
  /** Where agents and other machines reach it; absent means nowhere. */
  listen?: { host: string; port: number; gossipPort: number; gossipPreset?: GossipPreset };
  /** Backups of the cluster that it makes by itself. */
  backups?: { directory: string; everyMs: number; keep: number; passphrase?: string };
  /** Where the addresses of tasks and services are from: chosen when the cluster is made. */
  clusterRange?: string;
  /** How tasks of one node reach those of another; absent means as it was. */
  network?: NetworkMode;
  /** How tasks are placed whose service says nothing of it. */
  strategy: Strategy;
  /** Registries elsewhere, `*` for all, and who the site is to each. */
  upstream?: { hosts: string[]; login: (host: string) => RegistryLogin | undefined };
}

/** What `orchd join` was asked to be. */
export interface JoinOptions extends NodeOptions {
  /** Undefined when the machine is a node already. */
  token: string | undefined;
  /** `HOST:PORT` of servers; none means that they are looked for. */
  servers: string[];
  labels: Record<string, string>;
  /** How images may use the machine's link; absent: as it was, or as far as it goes. */
  link?: NodeLink;
  name: string | undefined;
  gossipPort: number;
  gossipPreset?: GossipPreset;
}

/** What `orchd restore` was asked to put back, where no server runs. */
export interface ClusterRestore {
  file: string;
  dataDir: string;
  passphrase: string | undefined;
  replace: boolean;
}

/** What was put back. */
export interface ClusterRestored {
  /** Milliseconds since 1970. */
  createdAt: number;
  nodes: number;
  services: number;
  /** Where the files of the cluster before lie now. */
  movedTo?: string;
}

/** What the executable is beside a command line; the entry file wires it. */
export interface Program {
  readonly build: BuildInfo;
  /** Runs until the server has stopped; answers the exit code. */
  startServer(options: ServerOptions): Promise<number>;
  /** Runs until the agent has stopped; answers the exit code. */
  startAgent(options: JoinOptions): Promise<number>;
  restoreCluster(options: ClusterRestore): Promise<ClusterRestored>;
  /** Looks at this machine for what stands in orchd's way; for root alone. */
  examineMachine(options: DoctorOptions): Promise<Diagnosis>;
}
