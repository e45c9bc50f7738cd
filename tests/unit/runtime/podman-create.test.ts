import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import { containerNameOf } from "../../../src/model/assignment.ts";
import type { NodeId } from "../../../src/model/ids.ts";
import type { BridgeNetwork } from "../../../src/runtime/driver.ts";
import { PodmanRuntime } from "../../../src/runtime/podman/podman-runtime.ts";
import { aTask } from "../../conformance/runtime-task.ts";
import { failureOf } from "../../conformance/runtime-until.ts";

/** What Podman says of a container that ran to its end. */
const ended = (taskId: string, status = "exited") => ({
  Id: "c1",
  State: {
    Status: status,
    OOMKilled: false,
    ExitCode: 0,
    StartedAt: "2026-01-31T12:00:00.5Z",
    FinishedAt: "2026-01-31T12:00:01.5Z",
  },
  Config: { Labels: { "orchd.task": taskId } },
  HostConfig: { LogConfig: { Type: "k8s-file", Path: "/log" } },
});

/** What Podman says of the node's network. */
const networkOf = ({ name, subnet, gateway }: BridgeNetwork) => ({
  driver: "bridge",
  network_interface: name,
  dns_enabled: false,
  subnets: [{ subnet, gateway }],
});

const NETWORK_GONE = "unable to find network with name or ID orchd0: network not found";
const PAUSED = "container c1 is running or paused, refusing to clean up: container state improper";
const NAME_TAKEN = "creating container storage: that name is already in use";

describe("calls that a task costs Podman", () => {
  let dir = "";
  let calls: string[] = [];
  let runtime: PodmanRuntime;
  let server: ReturnType<typeof Bun.serve>;
  /** Answers by method and path; everything else is told to be fine. */
  let answers: Record<string, () => Response>;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "orchd-create-"));
    calls = [];
    answers = {};
    const socket = join(dir, "podman.sock");
    server = Bun.serve({
      unix: socket,
      fetch(request) {
        const { pathname } = new URL(request.url);
        const path = pathname.replace("/v4.0.0/libpod", "");
        if (path === "/_ping") return new Response("OK");
        calls.push(`${request.method} ${path}`);
        return answers[`${request.method} ${path}`]?.() ?? new Response('{"Id":"c1"}');
      },
    });
    const nodeId = "nnnnnnnnnnnn" as NodeId;
    runtime = await PodmanRuntime.open({ nodeId, runDir: dir, clock: systemClock, socket });
  });

  afterEach(async () => {
    await server.stop(true);
    await rm(dir, { recursive: true, force: true });
  });

  const refusal =
    (message: string, status = 500) =>
    () =>
      Response.json({ message, cause: message, response: status }, { status });
  const once = (first: () => Response, then: () => Response) => {
    let used = false;
    return () => {
      if (used) return then();
      used = true;
      return first();
    };
  };
  const created = () => Response.json({ Id: "c2" }, { status: 201 });
  const fine = () => new Response(null, { status: 204 });

  test("creating and starting are one call each", async () => {
    const assignment = aTask("localhost/web:1");
    await runtime.create({ assignment });
    await runtime.start(assignment.taskId);
    expect(calls).toEqual(["POST /containers/create", "POST /containers/c1/start"]);
  });

  test("what Podman left half made is cleared away and made again", async () => {
    const assignment = aTask("localhost/web:1");
    const name = containerNameOf(assignment);
    answers["POST /containers/create"] = once(refusal(NAME_TAKEN), created);
    answers[`GET /containers/${name}/json`] = refusal("no such container", 404);
    expect(await runtime.create({ assignment })).toBe("c2");
    expect(calls).toEqual([
      "POST /containers/create",
      `GET /containers/${name}/json`,
      `DELETE /containers/${name}`,
      "POST /containers/create",
    ]);
  });

  test("a short name is tried as it stands, and then as Docker Hub's", async () => {
    const assignment = aTask("web");
    answers["POST /containers/create"] = once(refusal("web: image not known"), created);
    expect(await runtime.create({ assignment })).toBe("c2");
    expect(calls).toEqual(["POST /containers/create", "POST /containers/create"]);
  });

  test("a start that got no answer is not made again before a look", async () => {
    const assignment = aTask("localhost/web:1");
    await runtime.create({ assignment });
    answers["POST /containers/c1/start"] = refusal("starting up", 503);
    expect(await failureOf(runtime.start(assignment.taskId))).toMatchObject({ retryable: true });
    answers["GET /containers/c1/json"] = () => Response.json(ended(assignment.taskId));
    await runtime.start(assignment.taskId);
    expect(calls.slice(1)).toEqual(["POST /containers/c1/start", "GET /containers/c1/json"]);
  });

  test("a network that somebody removed is made again, once for all who miss it", async () => {
    const bridge = { name: "orchd0", subnet: "10.1.0.0/24", gateway: "10.1.0.1" };
    let there = true;
    const whenThere = () => (there ? created() : refusal(NETWORK_GONE)());
    answers["GET /networks/orchd0/json"] = () =>
      there ? Response.json(networkOf(bridge)) : refusal("no such network", 404)();
    answers["POST /networks/create"] = () => Response.json({ there: (there = true) });
    answers["POST /containers/create"] = whenThere;
    answers["POST /containers/c2/start"] = whenThere;
    await runtime.ensureNetwork(bridge);
    there = false;
    const assignment = aTask("localhost/web:1");
    const both = [assignment, aTask("localhost/web:1")];
    await Promise.all(both.map((one) => runtime.create({ assignment: one })));
    there = false;
    await runtime.start(assignment.taskId);
    expect(calls.filter((call) => call === "POST /networks/create")).toHaveLength(2);
    expect(calls.slice(-4)).toEqual([
      "POST /containers/c2/start",
      "GET /networks/orchd0/json",
      "POST /networks/create",
      "POST /containers/c2/start",
    ]);
  });

  test("a network that does not come back is told, not tried for ever", async () => {
    answers["GET /networks/orchd0/json"] = refusal("no such network", 404);
    answers["POST /containers/create"] = refusal(NETWORK_GONE);
    const assignment = aTask("localhost/web:1");
    expect((await failureOf(runtime.create({ assignment }))).message).toBe(NETWORK_GONE);
    await runtime.ensureNetwork({ name: "orchd0", subnet: "10.1.0.0/24", gateway: "10.1.0.1" });
    calls = [];
    expect((await failureOf(runtime.create({ assignment }))).message).toBe(NETWORK_GONE);
    expect(calls.filter((call) => call === "POST /containers/create")).toHaveLength(2);
  });

  test("a paused container goes on to be stopped", async () => {
    const assignment = aTask("localhost/web:1");
    await runtime.create({ assignment });
    answers["GET /containers/c1/json"] = () => Response.json(ended(assignment.taskId));
    for (const unpaused of [fine, refusal("c1 is not paused, can't unpause")]) {
      answers["POST /containers/c1/stop"] = once(refusal(PAUSED), fine);
      answers["POST /containers/c1/unpause"] = unpaused;
      await runtime.stop(assignment.taskId, 0);
      expect(calls.slice(-4)).toEqual([
        "POST /containers/c1/stop",
        "POST /containers/c1/unpause",
        "POST /containers/c1/stop",
        "GET /containers/c1/json",
      ]);
    }
  });

  test("what Podman calls stopping is to be stopped once more, and no more than that", async () => {
    const assignment = aTask("localhost/web:1");
    const { taskId } = assignment;
    await runtime.create({ assignment });
    const stopping = () => Response.json(ended(taskId, "stopping"));
    answers["GET /containers/c1/json"] = once(stopping, () => Response.json(ended(taskId)));
    answers["POST /containers/c1/stop"] = once(fine, refusal("timed out waiting for file"));
    await runtime.stop(taskId, 0);
    const [stop, look] = ["POST /containers/c1/stop", "GET /containers/c1/json"];
    expect(calls.slice(1)).toEqual([stop, look, stop, look]);
    answers["GET /containers/c1/json"] = stopping;
    expect((await failureOf(runtime.stop(taskId, 0))).message).toContain("timed out waiting");
  });

  test("a process that vanishes while Podman looks at it is looked at again", async () => {
    const assignment = aTask("localhost/web:1");
    await runtime.create({ assignment });
    answers["GET /containers/c1/json"] = once(
      refusal("read /proc/17045/cgroup: no such process"),
      refusal("no such container", 404),
    );
    expect(await runtime.inspect(assignment.taskId)).toBeUndefined();
    expect(calls.slice(1)).toEqual(["GET /containers/c1/json", "GET /containers/c1/json"]);
  });
});
