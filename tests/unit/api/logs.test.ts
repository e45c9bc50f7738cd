import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import { followLogs } from "../../../src/api/logs.ts";
import { put, remove } from "../../../src/model/change.ts";
import type { LogOptions } from "../../../src/model/session.ts";
import type { TaskLogLine } from "../../../src/model/summary.ts";
import { aNode, anId, aPendingTask, aService, aTask } from "../../builders.ts";
import { anApi, FakeAgent, LineReader, type Refusal, until } from "./fixture.ts";

const web = aService({ replicas: 2 });
const one = aTask(web, "one");
const two = aTask(web, "two", { slot: "2", nodeId: anId("n2") });
const world = { nodes: [aNode("n1"), aNode("n2")], services: [web], tasks: [one, two] };

function agents(): [FakeAgent, FakeAgent] {
  const [first, second] = [new FakeAgent("n1"), new FakeAgent("n2")];
  first.lines.set(one.id, [line(1, "a"), line(4, "d")]);
  second.lines.set(two.id, [line(2, "b"), line(3, "c")]);
  return [first, second];
}

const line = (at: number, text: string) => ({ at, stream: "stdout" as const, text });

function told(value: unknown): string {
  const { task, text } = value as TaskLogLine;
  return `${task} ${text}`;
}

describe("the log of a service", () => {
  test("is merged by time from all its tasks", async () => {
    const { app } = await anApi(world, agents());
    const lines = await new LineReader(await app.request("/v1/logs?target=web")).rest();
    expect(lines.map(told)).toEqual([
      "shop/web.1 a",
      "shop/web.2 b",
      "shop/web.2 c",
      "shop/web.1 d",
    ]);
  });

  test("passes on what is asked for", async () => {
    const [first, second] = agents();
    const { app } = await anApi(world, [first, second]);
    await new LineReader(await app.request("/v1/logs?target=web.1&since=5&tail=0")).rest();
    expect(first.asked).toEqual([{ follow: false, since: 5, tail: 0 }]);
    expect(second.asked).toEqual([]);
  });

  test("gives what is there, and says last what is out of reach", async () => {
    const { app } = await anApi(world, [agents()[0]]);
    const lines = await new LineReader(await app.request("/v1/logs?target=web")).rest();
    expect(lines.slice(0, 2).map(told)).toEqual(["shop/web.1 a", "shop/web.1 d"]);
    expect(lines.slice(2)).toMatchObject([
      {
        error: {
          code: "unreachable",
          message: "shop/web.2 is on node n2, which is not connected: try again",
        },
      },
    ]);
  });

  test("leaves out a container that is gone", async () => {
    const [first, second] = agents();
    second.failure = new OrchdError("notFound", "no such container");
    const { app } = await anApi(world, [first, second]);
    const lines = await new LineReader(await app.request("/v1/logs?target=web")).rest();
    expect(lines.map(told)).toEqual(["shop/web.1 a", "shop/web.1 d"]);
  });

  test("picks up tasks that start while it is followed, and ends with the service", async () => {
    const [first, second] = agents();
    const { app, store } = await anApi({ ...world, tasks: [one] }, [first, second]);
    const lines = new LineReader(await app.request("/v1/logs?target=web&follow=true&tail=2"));
    expect([await lines.next(), await lines.next()].map(told)).toEqual([
      "shop/web.1 a",
      "shop/web.1 d",
    ]);
    await store.commit([put.task(two)]);
    expect(told(await lines.next())).toBe("shop/web.2 b");
    expect([first.asked, second.asked]).toEqual([[{ follow: true, tail: 2 }], [{ follow: true }]]);
    await lines.cancel();
    await until(() => store.watchers === 1);
  });
});

describe("the log of a service, followed while one of its tasks fails", () => {
  const failing = () => {
    const second = new FakeAgent("n2");
    second.failure = new OrchdError("unreachable", "Podman does not answer");
    return second;
  };

  test("ends with the failure as its last line, however much others have to say", async () => {
    const { app } = await anApi(world, [new BusyAgent("n1"), failing()]);
    const lines = await new LineReader(await app.request("/v1/logs?target=web&follow=true")).rest();
    expect(lines.at(-1)).toMatchObject({ error: { message: "Podman does not answer" } });
  });

  test("ends all that it began before it returns", async () => {
    const busy = new BusyAgent("n1");
    const { deps } = await anApi(world, [busy, failing()]);
    const sink = { write: () => Promise.resolve(), signal: new AbortController().signal };
    const source = { kind: "service" as const, id: web.id };
    const failure = await followLogs(deps, sink, source, { follow: true }).catch(String);
    expect(failure).toContain("Podman does not answer");
    expect(busy.reading).toBe(0);
  });
});

/** A task that prints without a pause; one read of its log gives many lines. */
class BusyAgent extends FakeAgent {
  reading = 0;

  override async *logs(_task: string, _options: LogOptions, signal: AbortSignal) {
    this.reading++;
    try {
      while (!signal.aborted) {
        await new Promise((resolve) => setImmediate(resolve));
        for (let i = 0; i < 200; i++) yield line(i, "x");
      }
    } finally {
      this.reading--;
    }
  }
}

describe("the log of a task", () => {
  test("is an error when its node is away", async () => {
    const { app } = await anApi(world, []);
    const response = await app.request("/v1/logs?target=web.1");
    expect(response.status).toBe(503);
    expect(((await response.json()) as Refusal).error.code).toBe("unreachable");
  });

  test("can be followed before it starts, and ends when the task is gone", async () => {
    const agent = agents()[0];
    const pending = aPendingTask(web, "one");
    const { app, store } = await anApi({ ...world, tasks: [pending] }, [agent]);
    const lines = new LineReader(await app.request("/v1/logs?target=web.1&follow=true"));
    agent.lines.delete(one.id);
    await store.commit([put.task({ ...pending, message: "no node", version: 1 })]);
    const [task] = store.view().tasks.values();
    await store.commit(task === undefined ? [] : [remove.task(task)]);
    expect(await lines.next()).toBe("end");
  });

  test("is refused for what is neither a service nor a task", async () => {
    const { app } = await anApi(world, agents());
    expect((await app.request("/v1/logs?target=n1")).status).toBe(404);
    expect((await app.request("/v1/logs?target=web&tail=-1")).status).toBe(400);
  });
});
