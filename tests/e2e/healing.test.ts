import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Event } from "../../src/model/event.ts";
import type { Explanation, TaskSummary } from "../../src/model/summary.ts";
import { aStack, HELLO, Host } from "../../scripts/lab/host.ts";

describe("a stack that runs comes back to the same state after every blow", () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer();
    await host.mustUp(HELLO);
  });
  afterAll(async () => host.stop());

  test("a container that is killed is replaced, and only that one", async () => {
    const before = await host.containers("hello");
    await host.podman("kill", idOf(before[0]));
    await host.waitFor("another runs in its place", async () => {
      const now = await host.containers("hello");
      return now.length === 3 && !now.includes(before[0] ?? "");
    });
    const after = await host.containers("hello");
    expect(after).toEqual(expect.arrayContaining(before.slice(1)));
    expect(await host.running("hello")).toHaveLength(3);
  });

  test("a container that is removed by hand is replaced, and only that one", async () => {
    const before = await host.containers("hello");
    await host.podman("rm", "--force", "--time", "0", idOf(before[0]));
    await host.waitFor("another runs in its place", async () => {
      const now = await host.containers("hello");
      return now.length === 3 && !now.includes(before[0] ?? "");
    });
    expect(await host.containers("hello")).toEqual(expect.arrayContaining(before.slice(1)));
  });

  test("all containers killed at once are all replaced", async () => {
    const before = await host.containers("hello");
    await host.podman("kill", ...before.map(idOf));
    await host.waitFor("three others run", async () => {
      const now = await host.containers("hello");
      return now.length === 3 && now.every((container) => !before.includes(container));
    });
  });

  test("kill -9 of orchd stops no container; starting again adopts them as they are", async () => {
    await host.waitConverged("hello/web-app");
    const before = await host.containers("hello");
    const tasks = await host.running("hello");
    await host.endServer("SIGKILL");
    expect(await host.containers("hello")).toEqual(before);
    await host.startServer();
    expect(await host.containers("hello")).toEqual(before);
    const after = await host.running("hello");
    expect(after.map(identity).sort()).toEqual(tasks.map(identity).sort());
  });

  test("an asked-for restart of orchd adopts them as well", async () => {
    const before = await host.containers("hello");
    expect(await host.endServer("SIGTERM")).toBe(0);
    expect(await host.containers("hello")).toEqual(before);
    await host.startServer();
    expect(await host.containers("hello")).toEqual(before);
  });

  test("an agent whose memory was lost adopts everything by what the server knows", async () => {
    const before = await host.containers("hello");
    await host.endServer("SIGTERM");
    for (const name of ["agent.db", "agent.db-wal"])
      rmSync(join(host.dataDir, name), { force: true });
    await host.startServer();
    await host.waitConverged("hello/web-app");
    expect(await host.containers("hello")).toEqual(before);
    expect(await host.json<unknown[]>("nodes")).toHaveLength(1);
  });

  test("what ended while orchd was away is replaced when it is back", async () => {
    const before = await host.containers("hello");
    await host.endServer("SIGKILL");
    await host.podman("kill", idOf(before[0]));
    await host.startServer();
    await host.waitFor("three run again", async () => {
      const now = await host.containers("hello");
      return now.length === 3 && !now.includes(before[0] ?? "");
    });
    expect(await host.containers("hello")).toEqual(expect.arrayContaining(before.slice(1)));
  });

  test("an accepted change survives kill -9 right after its answer", async () => {
    await host.must("scale", "web-app=5", "--detach");
    await host.endServer("SIGKILL");
    await host.startServer();
    await host.waitFor("five run", async () => (await host.running("hello")).length === 5);
    await host.must("scale", "web-app=3");
    await host.waitConverged("hello/web-app");
  });

  test("Podman's service killed: containers go on, and orchd works with the next one", async () => {
    const before = await host.containers("hello");
    const killed = await killPodmanService(host);
    expect(killed).toBeGreaterThan(0);
    expect(await host.containers("hello")).toEqual(before);
    await host.podman("kill", idOf(before[0]));
    await host.waitFor("another runs in its place", async () => {
      const now = await host.containers("hello");
      return now.length === 3 && !now.includes(before[0] ?? "");
    });
    expect(await host.containers("hello")).toEqual(expect.arrayContaining(before.slice(1)));
    await host.must("scale", "web-app=4");
    await host.waitConverged("hello/web-app");
    expect(await host.running("hello")).toHaveLength(4);
  });

  test("events tell of a crash which container it was and how it ended", async () => {
    const task = (await host.running("hello"))[0];
    const filter = `label=orchd.task=${task?.id ?? ""}`;
    await host.podman("kill", await host.podman("ps", "--quiet", "--filter", filter));
    await host.waitFor("the failure is told", async () => {
      const events = await readEvents(host);
      return events.some(({ id, action, message }) => {
        return id === task?.id && action === "failed" && message.includes("137");
      });
    });
  });
});

test("a new cluster on a machine of an old one leaves that one's containers alone", async () => {
  const host = await Host.withServer();
  await host.mustUp(HELLO);
  const before = await host.containers("hello");
  await host.endServer("SIGTERM");
  for (const name of ["server.db", "server.db-wal"])
    rmSync(join(host.dataDir, name), { force: true });
  await host.startServer();
  await host.mustUp(HELLO.replace("name: hello", "name: other"));
  expect(await host.containers("hello")).toEqual(before);
  expect(await host.running("other")).toHaveLength(3);
  await host.stop();
});

describe("a service that crashes again and again", () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer();
  });
  afterAll(async () => host.stop());

  test("is started less and less often, and explain tells why and when", async () => {
    const compose = aStack("loop", 'command: ["sh", "-c", "echo going down; exit 3"]');
    await host.mustUp(compose, "--detach");
    const timesOf = async (action: string) =>
      (await readEvents(host)).filter((event) => event.action === action).map(({ at }) => at);
    await host.waitFor("three attempts have failed", async () => {
      return (await timesOf("failed")).length >= 3;
    });
    const ran = await timesOf("running");
    const made = await timesOf("pending");
    const waits = made.slice(1).map((at, i) => at - (ran[i] ?? at));
    expect(waits[0]).toBeGreaterThanOrEqual(900);
    expect(waits[1]).toBeGreaterThanOrEqual(1_900);
    const explanation = await host.json<Explanation>("explain", "app");
    const told = JSON.stringify(explanation);
    expect(told).toContain("3");
    expect(explanation.next).not.toBe("");
    const { failures } = await host.service("loop/app");
    expect(failures).toBeGreaterThanOrEqual(3);
  });

  test("does not hold up another stack", async () => {
    await host.mustUp(HELLO);
    expect(await host.running("hello")).toHaveLength(3);
  });
});

/** What has happened in the cluster so far, as `orchd events --json` prints it. */
async function readEvents(host: Host): Promise<Event[]> {
  const lines = (await host.must("events", "--json")).trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Event);
}

/** Id, slot, revision and start of a task: what an adopted one keeps. */
function identity(task: TaskSummary): string {
  return [task.id, task.slot, task.revision, task.startedAt].join(" ");
}

function idOf(container: string | undefined): string {
  return container?.split(" ", 1)[0] ?? "";
}

/** Kills what answers on Podman's socket; conmon, which keeps the containers, is not touched. */
async function killPodmanService(host: Host): Promise<number> {
  // Read off /proc, since a small machine need not have ps; the shell itself is not meant.
  const script = `for dir in /proc/[0-9]*; do
    if tr '\\0' ' ' < "$dir/cmdline" 2>/dev/null | grep -q '^[^ ]*podman .*system service'; then
      kill -9 "\${dir#/proc/}" && echo killed
    fi
  done`;
  const { stdout } = await host.lab.run(["sh", "-c", script]);
  return stdout.split("\n").filter((line) => line === "killed").length;
}

test("the helper for labs leaves no file when its host stops", async () => {
  const host = await Host.bare();
  await host.stop();
  expect(existsSync(host.lab.dir)).toBe(false);
  expect(readFileSync("/proc/mounts", "utf8")).not.toContain(host.lab.dir);
});
