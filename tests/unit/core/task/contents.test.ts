import { describe, expect, test } from "bun:test";
import { contentsNeeded } from "../../../../src/core/task/contents.ts";
import { expandContainer, isFilledIn } from "../../../../src/core/task/expand.ts";
import { templateContextOf } from "../../../../src/model/template-context.ts";
import {
  aContainer,
  aGrant,
  anAssignment,
  anId,
  aRestart,
  aVolumeMount,
} from "../../../builders.ts";

const container = aContainer({ grants: [aGrant(1), aGrant(2)] });
const task = anAssignment("t", { container });

function needed(over: Partial<typeof task>): string[] {
  return [...contentsNeeded([{ ...task, ...over }]).keys()];
}

describe("what a node needs", () => {
  test("is each content of its tasks once", () => {
    const [first, second] = [`${anId("pass")}.1`, `${anId("pass")}.2`];
    expect([...contentsNeeded([task, { ...task, taskId: anId("u") }]).keys()]).toEqual([
      first,
      second,
    ]);
  });

  test("is there before a task is started that is only made ready", () => {
    expect(needed({ desired: "prepared" })).toHaveLength(2);
  });

  test("is nothing of a task that is to end, or will not be started again", () => {
    expect(needed({ desired: "shutdown" })).toEqual([]);
    expect(needed({ desired: "removed" })).toEqual([]);
    expect(needed({ state: "failed" })).toEqual([]);
    const never = aRestart({ condition: "none" });
    expect(needed({ state: "failed", restart: never })).toEqual([]);
    const onFailure = aRestart({ condition: "on-failure" });
    expect(needed({ state: "complete", restart: onFailure })).toEqual([]);
  });

  test("is all of a task that is made ready, and nothing of one that could not be", () => {
    expect(needed({ desired: "prepared", state: "preparing" })).toHaveLength(2);
    expect(needed({ desired: "prepared", state: "rejected" })).toEqual([]);
  });

  test("is all of a task that the agent may start again while it is alone", () => {
    expect(
      needed({ state: "failed", restart: aRestart({ condition: "on-failure" }) }),
    ).toHaveLength(2);
    expect(needed({ state: "complete", restart: aRestart({ condition: "any" }) })).toHaveLength(2);
  });
});

describe("a container that is filled in", () => {
  const node = {
    id: anId<"node">("n1"),
    hostname: "pi-1",
    platform: { os: "linux", arch: "arm64" },
  };

  test("is told of its task in Swarm's words", () => {
    const assignment = anAssignment("t", { slot: "3@7", serviceLabels: { zone: "north" } });
    expect(templateContextOf(assignment, node)).toEqual({
      service: { id: assignment.serviceId, name: "shop_web", labels: { zone: "north" } },
      node: { id: anId("n1"), hostname: "pi-1", os: "linux", architecture: "aarch64" },
      task: { id: anId("t"), name: `shop_web.3.${anId("t")}`, slot: "3" },
    });
  });

  test("has its variables, host name and mounts filled in, and nothing else", () => {
    const context = templateContextOf(anAssignment("t", { slot: "3" }), node);
    const before = aContainer({
      environment: { A: "{{.Task.Slot}}", B: "plain" },
      hostname: "web-{{.Task.Slot}}",
      command: ["{{.Task.Slot}}"],
      mounts: [
        {
          ...aVolumeMount("data-{{.Task.Slot}}"),
          driverOptions: { device: "/srv/{{.Node.Hostname}}" },
          labels: { owner: "{{.Service.Name}}" },
        },
      ],
    });
    const after = expandContainer(before, context);
    expect(after).toEqual({
      ok: true,
      value: {
        ...before,
        environment: { A: "3", B: "plain" },
        hostname: "web-3",
        mounts: [
          {
            ...aVolumeMount("data-3"),
            driverOptions: { device: "/srv/pi-1" },
            labels: { owner: "shop_web" },
          },
        ],
      },
    });
    expect([isFilledIn(before), isFilledIn(aContainer())]).toEqual([true, false]);
  });

  test("says where its template is wrong", () => {
    const context = templateContextOf(anAssignment("t"), node);
    const bad = aContainer({ environment: { A: "{{.Nothing}}" } });
    expect(expandContainer(bad, context)).toMatchObject({
      ok: false,
      problem: expect.stringMatching(/^the template of the variable A names \.Nothing/),
    });
  });
});
