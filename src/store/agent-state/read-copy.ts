import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeId } from "../../model/ids.ts";
import type { Identity } from "../../model/join.ts";
import type { NetworkMap } from "../../model/network-map.ts";
import { openAgentState } from "./agent-state.ts";

/** What an agent remembers that others on its machine may ask for. */
export interface Remembered {
  nodeId: NodeId | undefined;
  /** Absent on the server's own machine. */
  identity: Pick<Identity, "servers" | "caCertificate" | "subnet"> | undefined;
  map: NetworkMap | undefined;
}

/**
 * What the agent of this machine remembers, while it runs or not: its file is one process's alone,
 * so a copy is read, in memory where there is such a folder, and gone at once.
 * @param path of the agent's file
 * @returns nothing where no agent has been
 * @throws OrchdError `damaged` also when the file was written to just then
 */
export function readCopyOfAgentState(path: string): Remembered | undefined {
  if (!fs.existsSync(path)) return undefined;
  const dir = fs.mkdtempSync(join(fs.existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "orchd-"));
  try {
    const copy = join(dir, "agent.db");
    for (const end of ["", "-wal"]) {
      if (fs.existsSync(`${path}${end}`)) fs.copyFileSync(`${path}${end}`, `${copy}${end}`);
    }
    const state = openAgentState(copy);
    const found = {
      nodeId: state.loadNodeId(),
      identity: state.loadIdentity(),
      map: state.networkMap(),
    };
    state.close();
    return found;
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}
