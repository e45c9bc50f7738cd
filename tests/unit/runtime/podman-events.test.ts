import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import { PodmanHttp } from "../../../src/runtime/podman/http.ts";
import { podmanEvents } from "../../../src/runtime/podman/podman-events.ts";
import { anId } from "../../builders.ts";
import { until } from "../../conformance/runtime-until.ts";

test("a reader of events that leaves at the first one leaves no stream behind", async () => {
  const dir = await mkdtemp(join(tmpdir(), "orchd-events-"));
  const socketPath = join(dir, "podman.sock");
  let [opened, open] = [0, 0];
  const server = createServer((_request, reply) => {
    opened++;
    open++;
    reply.on("close", () => open--);
    reply.writeHead(200);
    reply.flushHeaders();
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const service = {
    http: new PodmanHttp(socketPath),
    pid: () => undefined,
    revive: () => Promise.resolve(),
  };
  const { signal } = new AbortController();
  const read = async (onEvent: () => void) => {
    for await (const event of podmanEvents(service, anId("n1"), systemClock, signal)) {
      expect(event).toEqual({ type: "resync" });
      onEvent();
      break;
    }
  };
  try {
    await read(() => {});
    const failing = read(() => {
      throw new Error("the list failed");
    });
    expect(await failing.catch((error: Error) => error.message)).toBe("the list failed");
    expect(opened).toBe(2);
    await until("the end of both streams", () => open === 0);
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(dir, { recursive: true });
  }
});
