import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeHelloImage } from "../../scripts/image.ts";
import type { Assignment } from "../../src/model/assignment.ts";
import type { ContainerSpec } from "../../src/model/container.ts";
import type { OrchdError } from "../../src/lib/errors.ts";
import { openDocker } from "../../src/runtime/docker/docker-service.ts";
import { hasDocker, makeDockerLab, type DockerLab } from "./runtime-docker-lab.ts";
import { aTask } from "./runtime-task.ts";
import { failureOf } from "./runtime-until.ts";

const SUITE = "Docker";
const TIMEOUT_MS = 120_000;

describe(SUITE, () => {
  if (!hasDocker(SUITE)) return;
  let lab: DockerLab;
  const made: Assignment[] = [];
  beforeAll(async () => {
    lab = await makeDockerLab("orchdt15", "10.213.15");
    await lab.runtime.ensureNetwork(lab.network);
  }, TIMEOUT_MS);
  afterEach(async () => {
    for (const { taskId } of made.splice(0)) await lab.runtime.remove(taskId);
  }, TIMEOUT_MS);
  afterAll(async () => lab.close(), TIMEOUT_MS);

  function aTaskHere(change: Partial<ContainerSpec> = {}): Assignment {
    const assignment = aTask(lab.image, {}, change);
    made.push(assignment);
    return assignment;
  }
  async function printed({ taskId }: Assignment): Promise<string[]> {
    const texts: string[] = [];
    const { signal } = new AbortController();
    for await (const { text } of lab.runtime.logs(taskId, { follow: true }, signal)) {
      texts.push(text);
    }
    return texts;
  }

  test("a network that somebody has removed is made anew with the next container", async () => {
    const address = lab.network.gateway.replace(/\.1$/, ".44");
    const assignment = aTaskHere({ networkMode: "bridge" });
    await lab.runtime.create({ assignment, address });
    await lab.call("DELETE", `/networks/${lab.network.name}`);
    await lab.runtime.start(assignment.taskId);
    const status = await lab.runtime.inspect(assignment.taskId);
    expect(status).toMatchObject({ state: "running", address });
  });

  test("a container has no more rights than with Podman, where nothing is said", async () => {
    const command = ["/bin/sh", "-c", "grep CapBnd /proc/self/status | cut -f2"];
    const assignment = aTaskHere({ command });
    await lab.runtime.create({ assignment });
    await lab.runtime.start(assignment.taskId);
    expect(await printed(assignment)).toEqual(["00000000800405fb"]);
  });

  test("a container can be in another one's network, with names of its own", async () => {
    const address = lab.network.gateway.replace(/\.1$/, ".45");
    const first = aTaskHere({ networkMode: "bridge" });
    await lab.runtime.create({ assignment: first, address });
    await lab.runtime.start(first.taskId);
    const script = `grep -o '${address}' /proc/net/fib_trie | head -1; cat /etc/resolv.conf`;
    const change = { networkMode: "service" as const, command: ["/bin/sh", "-c", script] };
    const second = aTaskHere(change);
    const resolver = { server: lab.network.gateway, search: ["orchd.internal"] };
    await lab.runtime.create({ assignment: second, networkTask: first.taskId, resolver });
    await lab.runtime.start(second.taskId);
    expect(await printed(second)).toEqual([
      address,
      "search orchd.internal",
      `nameserver ${lab.network.gateway}`,
      "options ndots:0",
    ]);
    const status = await lab.runtime.inspect(second.taskId);
    expect(status?.networkTask).toBe(first.taskId);
  });

  test("what a killed orchd has left of a container that is gone is swept away", async () => {
    const left = join(lab.dir, "data", "docker", "etc", aTask(lab.image).taskId);
    mkdirSync(left, { recursive: true });
    await lab.reopen();
    expect(existsSync(left)).toBe(false);
  });

  test("an image of the site keeps the digest that it has there", async () => {
    const archive = join(lab.dir, "kept.tar");
    writeHelloImage(archive, "registry.invalid:5000/kept:1", {});
    await lab.load(archive);
    const found = await lab.runtime.imageIdentity("registry.invalid:5000/kept:1");
    expect(found?.digests).toEqual([expect.stringMatching(/^sha256:[0-9a-f]{64}$/)]);
    await lab.runtime.upkeep.removeImages([lab.image], () => Promise.resolve(false));
    expect(await lab.runtime.hasImage("registry.invalid:5000/kept:1")).toBe(false);
    expect(await lab.runtime.hasImage(lab.image)).toBe(true);
  });
});

describe("a socket that is not a Docker to work with", () => {
  async function refusalOf(answer: () => Response): Promise<OrchdError> {
    const dir = mkdtempSync(join(tmpdir(), "orchd-socket-"));
    const socket = join(dir, "docker.sock");
    const server = Bun.serve({ unix: socket, fetch: answer });
    try {
      return await failureOf(openDocker(socket));
    } finally {
      await server.stop(true);
      rmSync(dir, { recursive: true });
    }
  }

  test("one that is too old is told what is needed", async () => {
    const old = { Version: "19.03.15", ApiVersion: "1.40" };
    const error = await refusalOf(() => Response.json(old));
    expect(error.message).toBe("Docker 19.03.15 is too old: orchd needs 20.10 or later");
  });

  test("Podman's own socket is named as what it is", async () => {
    const podman = {
      Version: "4.3.1",
      ApiVersion: "1.41",
      Components: [{ Name: "Podman Engine" }],
    };
    const error = await refusalOf(() => Response.json(podman));
    expect(error.message).toMatch(
      /docker\.sock is Podman's: use --runtime podman with its socket$/,
    );
  });

  test("something else is told by what it answers", async () => {
    const page = await refusalOf(() => new Response("<html>"));
    expect(page.message).toBe("Docker's reply to /version makes no sense");
    const nothing = await refusalOf(() => new Response("", { status: 500 }));
    expect(nothing.message).toBe("Docker failed without a reason");
  });

  test("a socket that nothing answers on is told by its path", async () => {
    const error = await failureOf(openDocker("/run/orchd-nobody.sock"));
    expect(error).toMatchObject({ code: "unreachable", retryable: true });
    expect(error.message).toContain("Docker does not answer on /run/orchd-nobody.sock");
  });
});
