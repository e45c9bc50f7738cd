import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { ContainerdGrpc } from "../../src/runtime/containerd/grpc.ts";
import { METHODS } from "../../src/runtime/containerd/methods.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { openRuntime } from "../../src/runtime/open.ts";
import { failureOf } from "./runtime-until.ts";

const PROGRAMS = { podman: "Podman", containerd: "containerd", docker: "Docker" } as const;
const KINDS = ["podman", "containerd", "docker"] as const;
const TIMEOUT_MS = 50_000;

describe("a socket that takes connections and never answers", () => {
  let dir: string;
  let socket: string;
  let server: Server;
  const connections = new Set<Socket>();
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "orchd-silence-"));
    socket = join(dir, "silent.sock");
    server = createServer((connection) => {
      connections.add(connection.on("error", () => {}).resume());
    });
    await new Promise<void>((resolve) => void server.listen(socket, resolve));
  });
  afterAll(async () => {
    for (const connection of connections) connection.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(dir, { recursive: true });
  });

  test(
    "is given up on by every driver, which says where that is",
    async () => {
      const options = {
        nodeId: "n11111111111" as NodeId,
        clock: systemClock,
        random: seededRandom("silence"),
      };
      const open = (kind: (typeof KINDS)[number]) =>
        failureOf(
          openRuntime(kind, {
            ...options,
            runDir: join(dir, kind, "run"),
            dataDir: join(dir, kind, "data"),
            sockets: { [kind]: socket },
          }),
        );
      const errors = await Promise.all(KINDS.map(open));
      for (const [index, kind] of KINDS.entries()) {
        expect(errors[index]).toMatchObject({ code: "unreachable", retryable: true });
        expect(errors[index]?.message).toStartWith(
          `${PROGRAMS[kind]} does not answer on ${socket}`,
        );
      }
    },
    TIMEOUT_MS,
  );

  test("ends a call of containerd with the call's time, and so a conversation", async () => {
    const grpc = new ContainerdGrpc(socket);
    const call = await failureOf(grpc.call(METHODS.version, {}, { timeoutMs: 30 }));
    const talk = grpc.converse(METHODS.writeContent, { timeoutMs: 30 });
    const answer = await failureOf(talk.ask({ action: "STAT" }));
    for (const error of [call, answer]) {
      expect(error).toMatchObject({ code: "unreachable", retryable: true });
      expect(error.message).toContain("it took too long");
    }
    grpc.close();
  });
});
