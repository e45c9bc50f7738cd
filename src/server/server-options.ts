import type { Upstream } from "../images/upstream.ts";
import type { IngressChoice } from "../agent/http-ingress.ts";
import type { SelfUpgrade } from "../agent/upgrade/self-upgrade.ts";
import type { Log } from "../lib/log.ts";
import type { NetworkMode } from "../model/network-map.ts";
import type { Strategy } from "../model/service.ts";
import type { VersionInfo } from "../model/summary.ts";
import type { RuntimeChoice, RuntimeSockets } from "../runtime/open.ts";
import type { BackupSchedule } from "./backup/cluster-backups.ts";

/** What a server is told when it starts. */
export interface ServerOptions {
  /** Holds the state: what must survive. */
  dataDir: string;
  /** Holds sockets: what may be gone after a reboot. */
  runDir: string;
  runtime: RuntimeChoice;
  /** Whether this machine runs tasks too. */
  agent: boolean;
  /** Sockets of runtimes, instead of looking for one or starting one. */
  sockets?: RuntimeSockets;
  /** The address of this machine that others are told; absent means the likeliest of its own. */
  advertise?: string;
  /** How much this machine has of what people gave a name. */
  resources?: Readonly<Record<string, number>>;
  /** Directories of this machine that tasks may mount; absent means all but orchd's own. */
  allowBind?: readonly string[];
  /** Directories whose programs tasks may run without a container; absent means that none may. */
  processes?: readonly string[];
  /** Backups that the server makes by itself; absent means none. */
  backups?: BackupSchedule;
  /** Where the addresses of tasks and services are from: chosen when the cluster is made. */
  clusterRange?: string;
  /** Whether tasks have IPv6 addresses too: chosen when the cluster is made; absent means as is. */
  ipv6?: boolean;
  /** How tasks of one node reach those of another; absent means as it was. */
  network?: NetworkMode;
  /** Where this machine takes requests for services; absent means the usual ports. */
  ingress?: IngressChoice;
  /** How tasks are placed whose service says nothing of it; absent: `spread`. */
  strategy?: Strategy;
  /** Registries elsewhere for what the site does not keep; absent means none. */
  upstream?: Upstream;
  version: VersionInfo;
  /** Absent where orchd can't become another executable. */
  upgrade?: SelfUpgrade;
  log: Log;
}
