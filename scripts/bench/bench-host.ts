import { request } from "node:http";
import { join } from "node:path";
import { HELLO_IMAGE } from "../image.ts";
import { Host } from "../lab/host.ts";

/** The compose text of one service with so many copies of the example image, each doing nothing. */
export function sleepers(stack: string, replicas: number): string {
  return `name: ${stack}
services:
  app:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: ["sleep", "1000000"]
    stop_grace_period: 0s
    deploy:
      replicas: ${replicas}
`;
}

/** A machine with a server, and its sockets as they are reached from outside. */
export interface BenchHost {
  host: Host;
  socket: string;
  podmanSocket: string;
}

export async function benchHost(): Promise<BenchHost> {
  const host = await Host.withServer();
  const run = join(host.lab.root, "run/orchd");
  return {
    host,
    socket: join(run, "orchd.sock"),
    podmanSocket: join(run, "podman.sock"),
  };
}

export interface Answer {
  status: number;
  body: string;
}

/** One HTTP call over a Unix socket, through an agent that keeps its connections. */
export async function callSocket(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = { host: "localhost", ...(text && { "content-type": "application/json" }) };
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, headers }, (response) => {
      let received = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (received += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: received }));
      response.on("error", reject);
    });
    call.on("error", reject).end(text);
  });
}
