import { expect, test } from "bun:test";
import { mkdir, mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import type { RuntimeEvent } from "../../../src/runtime/driver.ts";
import { PodmanHttp } from "../../../src/runtime/podman/http.ts";
import {
  podmanEvents,
  type EventService,
  type RunningTasks,
} from "../../../src/runtime/podman/podman-events.ts";
import { anId } from "../../builders.ts";
import { until } from "../../conformance/runtime-until.ts";

interface Rig {
  /** Where Podman keeps what is true until the machine ends. */
  dir: string;
  service: EventService;
  /** Streams of events, ever and now. */
  streams: { opened: number; open: number };
  /** Sends a line to each of them. */
  send: (line: string) => void;
}

/** A service of Podman that tells of nothing but what the test says. */
async function withService(use: (rig: Rig) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "orchd-events-"));
  const socketPath = join(dir, "podman.sock");
  const streams = { opened: 0, open: 0 };
  const replies = new Set<ServerResponse>();
  const server = createServer((_request, reply) => {
    streams.opened++;
    streams.open++;
    replies.add(reply);
    reply.on("close", () => streams.open--);
    reply.writeHead(200);
    reply.flushHeaders();
  });
  await mkdir(join(dir, "events"));
  await mkdir(join(dir, "exits"));
  const log = await open(join(dir, "events", "events.log"), "w");
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const service = {
    http: new PodmanHttp(socketPath),
    pid: () => process.pid,
    revive: () => Promise.resolve(),
  };
  const send = (line: string) => replies.forEach((reply) => void reply.write(`${line}\n`));
  try {
    await use({ dir, service, streams, send });
  } finally {
    server.closeAllConnections();
    server.close();
    await log.close();
    await rm(dir, { recursive: true });
  }
}

function optionsOf(service: EventService, running: RunningTasks) {
  const processes = () => Promise.resolve(new Map<string, number>());
  return { service, nodeId: anId<"node">("n1"), clock: systemClock, running, processes };
}

test("a reader of events that leaves at the first one leaves no stream behind", async () => {
  await withService(async ({ service, streams }) => {
    const { signal } = new AbortController();
    const read = async (onEvent: () => void) => {
      for await (const event of podmanEvents(optionsOf(service, new Map()), signal)) {
        expect(event).toEqual({ type: "resync" });
        onEvent();
        break;
      }
    };
    await read(() => {});
    const failing = read(() => {
      throw new Error("the list failed");
    });
    expect(await failing.catch((error: Error) => error.message)).toBe("the list failed");
    expect(streams.opened).toBe(2);
    await until("the end of both streams", () => streams.open === 0);
  });
});

test("the end of a task that runs is told when its monitor writes it down", async () => {
  await withService(async ({ dir, service, send }) => {
    const enough = new AbortController();
    const [listed, started, stranger] = ["a", "b", "c"].map((letter) => letter.repeat(64));
    const running: RunningTasks = new Map([[`${listed}`, anId("t1")]]);
    const seen: RuntimeEvent[] = [];
    const reading = (async () => {
      const events = podmanEvents(optionsOf(service, running), enough.signal);
      for await (const event of events) seen.push(event);
    })();
    const end = async (containerId: string | undefined) => {
      const path = join(dir, "exits", `${containerId}`);
      await writeFile(`${path}.new`, "137");
      await rename(`${path}.new`, path);
    };
    await until("the stream", () => seen.length === 1);
    send(
      JSON.stringify({
        Action: "start",
        Actor: { ID: started, Attributes: { "orchd.task": anId("t2") } },
      }),
    );
    await until("the start", () => seen.length === 2);
    for (const containerId of [stranger, started, listed]) {
      // Podman's directory is found a moment after its answer.
      await until(`the end of ${containerId}`, async () => {
        await end(containerId);
        return containerId === stranger || seen.some((e) => idOf(e) === containerId && isEnd(e));
      });
    }
    enough.abort();
    await reading;
    expect(seen.filter(isEnd)).toEqual([
      { type: "exited", taskId: anId("t2"), containerId: `${started}` },
      { type: "exited", taskId: anId("t1"), containerId: `${listed}` },
    ]);
  });
});

function idOf(event: RuntimeEvent): string {
  return event.type === "resync" ? "" : event.containerId;
}

function isEnd({ type }: RuntimeEvent): boolean {
  return type === "exited";
}
