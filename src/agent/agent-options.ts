import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { NodeId } from "../model/ids.ts";
import type { NodeFacts } from "../model/node.ts";
import type { ServerSession } from "../model/session.ts";
import type { Runtime } from "../runtime/driver.ts";
import type { AgentState } from "../store/agent-state/agent-state.ts";
import type { KeptOnMachine } from "./care.ts";
import type { ContentMemory } from "./contents.ts";
import type { MachineDevices } from "./give-devices.ts";
import type { AgentIngress } from "./http-ingress.ts";
import type { MemoryDirectory } from "./memory-directory.ts";
import type { SiteImages } from "./site-images.ts";
import type { AgentNetwork } from "./task-network.ts";
import type { SelfUpgrade } from "./upgrade/self-upgrade.ts";

/** What the agent needs of its own disk: every write is durable when it returns. */
export type AgentMemory = Pick<
  AgentState,
  | "assignments"
  | "saveAssignments"
  | "statuses"
  | "saveStatus"
  | "deleteStatus"
  | "networkMap"
  | "saveNetworkMap"
> &
  ContentMemory;

export interface AgentOptions extends KeptOnMachine {
  nodeId: NodeId;
  clock: Clock;
  random: Random;
  log: Log;
  runtime: Runtime;
  state: AgentMemory;
  server: ServerSession;
  facts: NodeFacts;
  /** Undefined for a runtime that gives its tasks no network. */
  network: AgentNetwork | undefined;
  /** Absent where the node takes no requests for services. */
  ingress?: AgentIngress;
  /** How the node keeps the contents of secrets and configs; absent means that it has none. */
  secrets?: {
    key: Uint8Array;
    /** Where their files are; absent where containers have no files. */
    directory?: MemoryDirectory;
  };
  /** Images that need no registry elsewhere; absent where there are none. */
  site?: Pick<SiteImages, "give" | "dropCopies">;
  /** Absent where orchd can't become another executable. */
  upgrade?: Pick<SelfUpgrade, "follow">;
  /** What the machine has that tasks are given; absent means nothing. */
  machine?: () => MachineDevices;
  /** Hears of what the node says of itself when that changes. */
  onFacts?(news: Partial<Pick<NodeFacts, "foreignImages" | "ingress" | "disk">>): void;
  /** Hears what people should put right about the node's network, when that changes. */
  onNetworkNotes?: (notes: string[]) => void;
}
