import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { systemClock } from "../../src/lib/clock.ts";
import type { OrchdError } from "../../src/lib/errors.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { ContainerdRuntime } from "../../src/runtime/containerd/containerd-runtime.ts";
import { failureOf } from "./runtime-until.ts";

const VERSION = "/containerd.services.version.v1.Version/Version";

describe("a socket that is not a containerd to work with", () => {
  let dir: string;
  let socket: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "orchd-socket-"));
    socket = join(dir, "containerd.sock");
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const refusal = (): Promise<OrchdError> =>
    failureOf(
      ContainerdRuntime.open({
        nodeId: "n11111111111" as NodeId,
        runDir: join(dir, "run"),
        dataDir: join(dir, "data"),
        clock: systemClock,
        socket,
      }),
    );

  /** What is said of a server of gRPC with this version; without one it has no such call. */
  async function refusalOf(version?: string): Promise<OrchdError> {
    const server = new Server();
    const same = (bytes: Buffer) => bytes;
    const implementation: UntypedServiceImplementation = {
      version: (_: unknown, answer: (error: null, reply: Buffer) => void) => {
        const text = Buffer.from(version ?? "");
        answer(null, Buffer.concat([Buffer.from([0x0a, text.length]), text]));
      },
    };
    const definition = {
      path: VERSION,
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    };
    if (version !== undefined) server.addService({ version: definition }, implementation);
    const bound = Promise.withResolvers<void>();
    server.bindAsync(`unix://${socket}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) bound.resolve();
      else bound.reject(error);
    });
    await bound.promise;
    try {
      return await refusal();
    } finally {
      server.forceShutdown();
    }
  }

  test("one that is too old is told what is needed", async () => {
    for (const version of ["1.5.9", "v1.5.18-k3s1", "0.2.9"]) {
      const error = await refusalOf(version);
      expect(error.code).toBe("runtime");
      expect(error.message).toBe(`containerd ${version} is too old: orchd needs 1.6 or later`);
    }
  });

  test("another service that speaks gRPC is told by its path", async () => {
    const error = await refusalOf();
    expect(error.message).toBe(
      `what answers on ${socket} is not containerd, or one older than 1.6`,
    );
  });

  test("one that hangs up is told by its path", async () => {
    const server = createServer((connection) => connection.destroy());
    await new Promise<void>((resolve) => void server.listen(socket, resolve));
    const error = await refusal();
    expect(error.code).toBe("unreachable");
    expect(error.message).toContain(`containerd does not answer on ${socket}`);
    server.close();
  });
});
