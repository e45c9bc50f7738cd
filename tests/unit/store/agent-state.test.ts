import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Identity } from "../../../src/model/join.ts";
import { type AgentState, openAgentState } from "../../../src/store/agent-state/agent-state.ts";
import type { NetworkMap } from "../../../src/model/network-map.ts";
import { aMap, aMapService, aMapTask, anAssignment, anId, aStatus } from "../../builders.ts";

let directory: string;
let path: string;
let state: AgentState;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-agent-"));
  path = join(directory, "agent.db");
  state = openAgentState(path);
});
afterEach(() => {
  state.close();
  fs.rmSync(directory, { recursive: true });
});

function reopen(): void {
  state.close();
  state = openAgentState(path);
}

/** Bytes that a call adds to the file's journal. */
function bytesWritten(run: () => void): number {
  const size = () => fs.statSync(`${path}-wal`).size;
  const before = size();
  run();
  return size() - before;
}

/** A map whatever the order of its parts. */
function sameMap(map: NetworkMap | undefined) {
  const { nodes = [], services = [], tasks = [], ...head } = map ?? {};
  return { ...head, nodes: new Set(nodes), services: new Set(services), tasks: new Set(tasks) };
}

const identity: Identity = {
  nodeId: anId("node"),
  name: "till",
  key: "a key",
  certificate: "a certificate",
  caCertificate: "the CA's certificate",
  gossipKeys: [`${"a".repeat(43)}=`],
  subnet: "10.210.2.0/24",
  servers: ["192.0.2.1:6770"],
};

describe("what an agent remembers", () => {
  test("is nothing before it first joined a cluster", () => {
    expect(state.loadNodeId()).toBeUndefined();
    expect(state.assignments()).toBeUndefined();
    expect(state.statuses()).toEqual([]);
  });

  test("is which node it is", () => {
    state.saveNodeId(anId("node"));
    reopen();
    expect(state.loadNodeId()).toBe(anId("node"));
  });

  test("is what its tasks read, as it was sealed, until it is let go", () => {
    state.saveContent("a.1", "c2VhbGVk");
    state.saveContent("a.2", "b3RoZXI=");
    state.saveContent("a.1", "bmV3ZXI=");
    reopen();
    expect(state.contentIds().sort()).toEqual(["a.1", "a.2"]);
    expect([state.loadContent("a.1"), state.loadContent("b.1")]).toEqual(["bmV3ZXI=", undefined]);
    state.deleteContents(["a.1", "never"]);
    reopen();
    expect(state.contentIds()).toEqual(["a.2"]);
  });

  test("is the node's key before it has joined, and who it is from then on", () => {
    expect([state.loadKey(), state.loadIdentity()]).toEqual([undefined, undefined]);
    state.saveKey("a key");
    reopen();
    expect([state.loadKey(), state.loadIdentity()]).toEqual(["a key", undefined]);
    state.saveIdentity(identity);
    reopen();
    expect(state.loadIdentity()).toEqual(identity);
    expect([state.loadKey(), state.loadNodeId()]).toEqual(["a key", identity.nodeId]);
    expect(bytesWritten(() => state.saveIdentity({ ...identity }))).toBe(0);
    state.saveKey("another key");
    reopen();
    expect([state.loadKey(), state.loadIdentity()]).toEqual(["another key", undefined]);
  });

  test("is no identity that could not be read back", () => {
    const broken = { ...identity, gossipKeys: ["secret"] };
    expect(() => state.saveIdentity(broken)).toThrow("identity.gossipKeys");
    expect(state.loadIdentity()).toBeUndefined();
  });

  test("is the set of assignments that was saved last, whole", () => {
    state.saveAssignments({ generation: 1, assignments: [anAssignment("a"), anAssignment("b")] });
    const changed = { ...anAssignment("b"), desired: "shutdown" as const };
    state.saveAssignments({ generation: 2, assignments: [changed, anAssignment("c")] });
    reopen();
    const { generation, assignments = [] } = state.assignments() ?? {};
    expect(generation).toBe(2);
    expect(new Set(assignments)).toEqual(new Set([changed, anAssignment("c")]));
  });

  test("is an empty set, which is not the same as none", () => {
    state.saveAssignments({ generation: 0, assignments: [] });
    reopen();
    expect(state.assignments()).toEqual({ generation: 0, assignments: [] });
  });

  test("is the latest status of each task, until it is deleted", () => {
    state.saveStatus([aStatus("a"), aStatus("b")]);
    state.saveStatus([{ ...aStatus("a"), state: "failed", exitCode: 137 }]);
    state.deleteStatus([anId("b"), anId("unknown")]);
    reopen();
    expect(state.statuses()).toEqual([{ ...aStatus("a"), state: "failed", exitCode: 137 }]);
  });

  test("is nothing when it is told what it knows already", () => {
    const set = { generation: 1, assignments: [anAssignment("a"), anAssignment("b")] };
    state.saveNodeId(anId("node"));
    state.saveAssignments(set);
    state.saveStatus([aStatus("a")]);
    const written = bytesWritten(() => {
      state.saveNodeId(anId("node"));
      state.saveAssignments(structuredClone(set));
      state.saveStatus([aStatus("a")]);
      state.deleteStatus([anId("b")]);
    });
    expect(written).toBe(0);
  });

  test("does not grow with what did not change", () => {
    const many = Array.from({ length: 200 }, (_, i) => anAssignment(`t${i}`));
    state.saveAssignments({ generation: 1, assignments: many });
    const [first, ...others] = many;
    const changed = { ...(first ?? anAssignment("t0")), desired: "shutdown" as const };
    const written = bytesWritten(() =>
      state.saveAssignments({ generation: 2, assignments: [changed, ...others] }),
    );
    // The row's page and the one of the generation.
    expect(written).toBeLessThan(4 * 4096);
  });

  test("is the network's map, of which only rows that changed are written", () => {
    expect(state.networkMap()).toBeUndefined();
    const tasks = Array.from({ length: 500 }, (_, i) => aMapTask(`t${i}`));
    state.saveNetworkMap(aMap({ tasks }));
    reopen();
    const read = state.networkMap();
    expect(read?.tasks.length).toBe(500);
    expect(sameMap(read)).toEqual(sameMap(aMap({ tasks })));
    const [first, second, ...others] = tasks;
    const changed = [{ ...(second ?? aMapTask("t1")), isReady: false }, ...others];
    const next = aMap({ generation: 2, services: [aMapService("db")], tasks: changed });
    const written = bytesWritten(() => state.saveNetworkMap(next));
    expect(first?.id).toBe(anId("t0"));
    expect(written).toBeLessThan(8 * 4096);
    reopen();
    expect(sameMap(state.networkMap())).toEqual(sameMap(next));
    state.saveNetworkMap({ ...next, range6: "fd00::/96" });
    reopen();
    expect(state.networkMap()?.range6).toBe("fd00::/96");
  });

  test("is not written for a map's generation alone", () => {
    state.saveNetworkMap(aMap({ generation: 1 }));
    expect(bytesWritten(() => state.saveNetworkMap(aMap({ generation: 2 })))).toBe(0);
    expect(bytesWritten(() => state.saveNetworkMap(aMap({ mode: "host-gw" })))).toBeGreaterThan(0);
  });

  test("is refused when it could not be read back, and nothing of the call remains", () => {
    const broken = { ...aStatus("b"), message: "x".repeat(5000) };
    expect(() => state.saveStatus([aStatus("a"), broken])).toThrow(/status\.message/);
    reopen();
    expect(state.statuses()).toEqual([]);
  });
});
