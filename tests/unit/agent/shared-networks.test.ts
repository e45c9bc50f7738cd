import { describe, expect, test } from "bun:test";
import { SharedNetworks } from "../../../src/agent/shared-networks.ts";
import type { Assignment } from "../../../src/model/assignment.ts";
import type { ContainerStatus } from "../../../src/runtime/driver.ts";
import { aContainer, anAssignment, anId } from "../../builders.ts";

const sharer = (id: string, slot = "1"): Assignment =>
  anAssignment(id, {
    service: "client",
    slot,
    container: aContainer({ networkMode: "service", networkOf: "vpn" }),
  });
const vpn = (id: string, slot = "1", more: Partial<Assignment> = {}): Assignment =>
  anAssignment(id, { service: "vpn", slot, ...more });

/** A node with these tasks, of which those run that are named. */
function node(assignments: Assignment[], running: string[], networkTask?: string) {
  const containers = new Map(
    assignments.map(({ taskId }): [string, ContainerStatus] => [
      taskId,
      {
        taskId,
        containerId: `c-${taskId}`,
        state: running.some((id) => anId<"task">(id) === taskId) ? "running" : "exited",
        ...(networkTask === undefined ? {} : { networkTask: anId<"task">(networkTask) }),
      },
    ]),
  );
  return new SharedNetworks({
    assignments: () => assignments,
    containers: { get: (taskId) => containers.get(taskId) },
  });
}

describe("whose network a task is in", () => {
  test("is that of the same slot, or else of the first one that runs", () => {
    const all = [vpn("a", "1"), vpn("b", "2"), sharer("c", "2"), sharer("d", "7")];
    const both = node(all, ["a", "b"]);
    expect(both.providerOf(sharer("c", "2"))).toBe(anId<"task">("b"));
    expect(both.providerOf(sharer("d", "7"))).toBe(anId<"task">("a"));
    expect(node(all, ["b"]).providerOf(sharer("d", "7"))).toBe(anId<"task">("b"));
  });

  test("is its own where it has one", () => {
    expect(node([vpn("a")], []).providerOf(vpn("a"))).toBeUndefined();
  });

  test("is waited for while it is to run here, and not for ever where none is", () => {
    const waiting = "it waits for the task of shop/vpn whose network it shares";
    expect(() => node([vpn("a")], []).providerOf(sharer("c"))).toThrow(waiting);
    const none = "no task of shop/vpn, whose network it shares, is on this node";
    for (const others of [
      [],
      [vpn("a", "1", { desired: "shutdown" })],
      [vpn("a", "1", { stack: "another" })],
      [vpn("a", "1", { service: "vpn2" })],
    ]) {
      expect(() => node(others, ["a"]).providerOf(sharer("c"))).toThrow(none);
    }
  });

  test("is lost when that one's container runs no more, or is gone", () => {
    const all = [vpn("a"), sharer("c")];
    expect(node(all, ["a", "c"], "a").isCutOff(sharer("c"))).toBe(false);
    expect(node(all, ["c"], "a").isCutOff(sharer("c"))).toBe(true);
    expect(node([sharer("c")], ["c"], "a").isCutOff(sharer("c"))).toBe(true);
    expect(node(all, ["a", "c"]).isCutOff(vpn("a"))).toBe(false);
  });

  test("tells who follows a task", () => {
    const all = [vpn("a"), sharer("c"), sharer("d"), anAssignment("e")];
    expect(node(all, []).sharersOf(vpn("a"))).toEqual([anId("c"), anId("d")]);
    expect(node(all, []).sharersOf(sharer("c"))).toEqual([]);
  });
});
