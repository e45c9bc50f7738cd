import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { writeHelloImage } from "../../scripts/image.ts";
import { aStack, Host, waitForAnswer } from "../../scripts/lab/host.ts";
import { LAB_RUNTIMES } from "../../scripts/lab/lab-containers.ts";
import type { Event } from "../../src/model/event.ts";
import type { Explanation, TaskSummary } from "../../src/model/summary.ts";

const CHECKED_IMAGE = "localhost/orchd-checked:1";
const REQUESTS = 40;

/** Runs a command in a task's container by the runtime itself. */
async function inside({ runtime }: Host, task: TaskSummary, ...command: string[]): Promise<void> {
  await runtime.inside(await runtime.of(task.id), command);
}

async function onlyTask(host: Host, stack: string): Promise<TaskSummary> {
  const [task, ...others] = await host.running(stack);
  if (task === undefined || others.length > 0) throw new Error(`${stack} has not one task`);
  return task;
}

describe.each(LAB_RUNTIMES)("tasks whose health is asked for, with %s", (runtime) => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer(runtime);
  });
  afterAll(async () => host.stop());

  test("one with a healthcheck that turns bad is started again, and people see why", async () => {
    const check = "cat /www/index.html || { echo no page; exit 1; }";
    const healthcheck = `{ test: "${check}", interval: 1s, retries: 2 }`;
    await host.mustUp(aStack("sick", `healthcheck: ${healthcheck}\n`));
    const before = await onlyTask(host, "sick");
    expect(before).toMatchObject({ health: "healthy", ready: true });
    await inside(host, before, "rm", "/www/index.html");
    await host.waitFor("another task is healthy", async () => {
      const tasks = await host.running("sick");
      return tasks.length === 1 && tasks[0]?.id !== before.id && tasks[0]?.health === "healthy";
    });
    const all = await host.json<TaskSummary[]>("ps", "sick", "--all");
    const ended = all.find((task) => task.id === before.id);
    expect(ended).toMatchObject({ state: "failed", message: expect.stringContaining("no page") });
    const lines = (await host.must("events", "--json")).trim().split("\n");
    const events = lines.map((line) => JSON.parse(line) as Event);
    const actions = events.filter(({ id }) => id === before.id).map(({ action }) => action);
    expect(actions.slice(-3)).toEqual(["healthy", "unhealthy", "failed"]);
    await host.must("down", "sick");
  });

  test("one that is not ready gets no request, and gets them when it is", async () => {
    const service = [
      'ports: ["8080:8080"]',
      "deploy: { replicas: 2 }",
      "x-orchd:",
      "  probes:",
      "    ready: { exec: test -f /tmp/ready, interval: 500ms, retries: 1 }",
      "    live: { http: { path: /index.html } }",
    ];
    await host.up(aStack("slow", `${service.join("\n")}\n`), "--detach");
    await host.waitFor("two tasks run", async () => (await host.running("slow")).length === 2);
    const url = "http://127.0.0.1:8080/";
    for (let i = 0; i < 5; i++) expect(await host.get(url)).toBeUndefined();
    const [first, second] = await host.running("slow");
    if (first === undefined || second === undefined) throw new Error("there are not two tasks");
    expect(first.ready || second.ready).toBe(false);

    await inside(host, first, "touch", "/tmp/ready");
    await waitForAnswer(host, url);
    expect(await answersOf(host, url)).toEqual(1);
    const explained = await host.json<Explanation>("explain", second.id);
    expect(explained.summary).toContain("not ready: exit code 1");
    expect(explained.facts).toContainEqual({ label: "ready", value: "test -f /tmp/ready" });

    await inside(host, second, "touch", "/tmp/ready");
    await host.waitFor("both answer", async () => (await answersOf(host, url)) === 2);
    await inside(host, first, "rm", "/tmp/ready");
    await host.waitFor("one is not ready any more", async () => {
      const tasks = await host.running("slow");
      return tasks.some(({ id, health }) => id === first.id && health === "unhealthy");
    });
    expect(await answersOf(host, url)).toEqual(1);
    expect((await host.running("slow")).map(({ id }) => id).sort()).toEqual(
      [first.id, second.id].sort(),
    );
    await host.must("down", "slow");
  });

  test("one whose image has a HEALTHCHECK of its own is held to that", async () => {
    const archive = join(host.lab.dir, "checked.tar");
    const Healthcheck = {
      Test: ["CMD", "test", "-f", "/www/index.html"],
      Interval: 1e9,
      Retries: 1,
    };
    writeHelloImage(archive, CHECKED_IMAGE, { Healthcheck });
    await host.must("image", "load", archive);
    const compose = `name: own\nservices: {app: {image: "${CHECKED_IMAGE}", pull_policy: never}}\n`;
    await host.mustUp(compose);
    const task = await onlyTask(host, "own");
    expect(task.health).toBe("healthy");
    await inside(host, task, "rm", "/www/index.html");
    await host.waitFor("another task runs", async () => {
      const tasks = await host.running("own");
      return tasks.length === 1 && tasks[0]?.id !== task.id;
    });
    await host.must("down", "own");
  });

  test("health is kept through kill -9 of orchd, and no task is touched", async () => {
    const healthcheck = "{ test: test -f /www/index.html, interval: 1s }";
    await host.mustUp(aStack("kept", `healthcheck: ${healthcheck}\n`));
    const before = await onlyTask(host, "kept");
    await host.endServer("SIGKILL");
    await host.startServer();
    expect(await onlyTask(host, "kept")).toMatchObject({ id: before.id, health: "healthy" });
    await host.must("down", "kept");
  });
});

/** How many different tasks answer so many requests. */
async function answersOf(host: Host, url: string): Promise<number> {
  const answers = new Set<string>();
  for (let i = 0; i < REQUESTS; i++) {
    const answer = await host.get(url);
    if (answer === undefined) throw new Error("a request was not answered");
    answers.add(answer);
  }
  return answers.size;
}
