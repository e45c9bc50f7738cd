import { describe, expect, test } from "bun:test";
import { Containers } from "../../../src/agent/containers.ts";
import type { TaskId } from "../../../src/model/ids.ts";
import type { ContainerStatus, Runtime, RuntimeEvent } from "../../../src/runtime/driver.ts";
import { anId } from "../../builders.ts";

const container = (name: string, over: Partial<ContainerStatus> = {}): ContainerStatus => {
  return { taskId: anId(name), containerId: `c-${name}`, state: "running", startedAt: 1, ...over };
};

/** A picture of a runtime that holds `found` and tells `events`. */
function aPicture(found: ContainerStatus[], duringList: () => void = () => {}) {
  const runtime = {
    list: async () => {
      const snapshot = [...found];
      duringList();
      return snapshot;
    },
    inspect: async (taskId: TaskId) => found.find((one) => one.taskId === taskId),
  };
  const changed: string[] = [];
  // Only what the picture calls is there.
  const containers = new Containers(runtime as unknown as Runtime, (taskId) =>
    changed.push(taskId),
  );
  const follow = async (...events: RuntimeEvent[]) => {
    Object.assign(runtime, {
      async *events() {
        yield* events;
      },
    });
    await containers.watch(new AbortController().signal, () => changed.push("all"));
  };
  return { containers, follow, changed };
}

describe("the picture of the runtime", () => {
  test("means nothing before everything was looked at once", async () => {
    const { containers, follow, changed } = aPicture([container("a")]);
    expect([containers.isListed, containers.get(anId("a"))]).toEqual([false, undefined]);
    await follow({ type: "resync" });
    expect([containers.isListed, containers.get(anId("a"))?.state]).toEqual([true, "running"]);
    expect(changed).toEqual(["all"]);
  });

  test("loses what is gone after a gap", async () => {
    const found = [container("a"), container("b")];
    const { containers, follow } = aPicture(found);
    await follow({ type: "resync" });
    found.shift();
    await follow({ type: "resync" });
    expect([...containers.all()].map(({ taskId }) => taskId)).toEqual([anId("b")]);
  });

  test("keeps what we did while a list was on its way: the list knows less", async () => {
    const found = [container("gone")];
    const { containers, follow } = aPicture(found, () => {
      containers.set(container("made", { state: "created" }));
      containers.delete(anId("gone"));
    });
    await follow({ type: "resync" });
    expect([...containers.all()].map(({ taskId }) => taskId)).toEqual([anId("made")]);
  });

  test("takes a removal for that of the container which it names alone", async () => {
    const { containers, follow, changed } = aPicture([container("a")]);
    const gone = (containerId: string) => ({
      type: "removed" as const,
      taskId: anId<"task">("a"),
      containerId,
    });
    await follow({ type: "resync" }, gone("an older one"));
    expect(containers.get(anId("a"))?.containerId).toBe("c-a");
    await follow(gone("c-a"));
    expect([containers.get(anId("a")), changed]).toEqual([undefined, ["all", anId("a")]]);
  });

  test("follows an exit by looking, not by guessing", async () => {
    const found = [container("a")];
    const { containers, follow } = aPicture(found);
    await follow({ type: "resync" });
    found[0] = container("a", { state: "exited", exitCode: 3 });
    await follow({ type: "exited", taskId: anId("a"), containerId: "c-a" });
    expect(containers.get(anId("a"))?.exitCode).toBe(3);
  });
});

describe("a start of ours", () => {
  test("is noted, unless the container has ended by then", () => {
    const { containers } = aPicture([]);
    containers.set(container("a", { state: "created" }));
    containers.set(container("b", { state: "exited", exitCode: 1 }));
    containers.noteStarted(anId("a"), 9);
    containers.noteStarted(anId("b"), 9);
    expect(containers.get(anId("a"))).toMatchObject({ state: "running", startedAt: 9 });
    expect(containers.get(anId("b"))?.state).toBe("exited");
  });

  test("is no news when the runtime tells of it, that of somebody else is", async () => {
    const { containers, follow, changed } = aPicture([container("a"), container("b")]);
    containers.set(container("a", { state: "created" }));
    containers.set(container("b", { state: "exited", exitCode: 1 }));
    containers.noteStarting(anId("a"));
    const started = (name: string) => ({
      type: "started" as const,
      taskId: anId<"task">(name),
      containerId: "",
    });
    await follow(started("a"), started("b"));
    expect(changed).toEqual([anId("b")]);
    expect(containers.get(anId("b"))?.state).toBe("running");
  });
});

test("a doubt lasts until the container was looked at", async () => {
  const { containers } = aPicture([container("a")]);
  containers.doubt(anId("a"));
  expect(containers.isDoubtful(anId("a"))).toBe(true);
  await containers.refresh(anId("a"));
  expect([containers.isDoubtful(anId("a")), containers.get(anId("a"))?.state]).toEqual([
    false,
    "running",
  ]);
});
