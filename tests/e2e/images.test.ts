import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { HELLO_IMAGE, writeHelloImage } from "../../scripts/image.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { HELLO } from "../../scripts/lab/host.ts";
import type { KeptImage } from "../../src/model/image.ts";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";

const STACK = HELLO.replace("replicas: 3", "replicas: 3").replace("pull_policy: never", "");
const REGISTRY = "127.0.0.1:6775";

describe("images of a site that no registry can be reached from", () => {
  let fleet: Fleet;
  let [h1, h2, h3] = [] as unknown as [FleetHost, FleetHost, FleetHost];
  beforeAll(async () => {
    fleet = await Fleet.start(3);
    [h1, h2, h3] = [fleet.host("h1"), fleet.host("h2"), fleet.host("h3")];
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await ready(2);
  });
  afterAll(async () => fleet.stop());

  function ready(count: number): Promise<void> {
    return h1.waitFor(`${count} nodes are ready`, async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter(({ health }) => health === "ready").length === count;
    });
  }

  async function nodesOfTasks(stack: string): Promise<string[]> {
    const tasks = await h1.json<TaskSummary[]>("ps", stack);
    return tasks.flatMap(({ ready: isReady, node }) => (isReady && node ? [node] : [])).sort();
  }

  test("loaded on the server are on every node, under their own name", async () => {
    const archive = join(h1.lab.dir, "hello.tar");
    writeHelloImage(archive);
    expect(await h1.must("image", "load", archive)).toBe(
      `${HELLO_IMAGE} is loaded on h1\n${HELLO_IMAGE} is loaded on h2\n`,
    );
    for (const host of [h1, h2]) {
      const names = await host.podman("images", "--format", "{{.Repository}}:{{.Tag}}");
      expect(names.split("\n")).toEqual([HELLO_IMAGE]);
    }
    const kept = await h1.json<KeptImage[]>("image", "ls");
    expect(kept.map(({ reference }) => reference)).toEqual([HELLO_IMAGE]);
    expect(await h1.must("image", "where", HELLO_IMAGE)).toMatch(/h1 .*\n.*h2 /);
  });

  test("reach a node that joins later when a task there needs them", async () => {
    h3.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await ready(3);
    await h1.mustUp(STACK);
    expect(await nodesOfTasks("hello")).toEqual(["h1", "h2", "h3"]);
    // Each node's own copy can be pulled from by whoever is on it.
    await h3.podman("pull", "--tls-verify=false", `${REGISTRY}/${HELLO_IMAGE}`);
  });

  test("are pushed with a token, and run under the name that they were pushed as", async () => {
    const push = ["push", "--tls-verify=false"];
    const refused = await h1.lab.podman(...push, HELLO_IMAGE, `${REGISTRY}/team/web:2`);
    expect(refused.stderr).toContain("unauthorized");
    const token = await h1.token("--admin");
    await h1.podman(...push, "--creds", `me:${token}`, HELLO_IMAGE, `${REGISTRY}/team/web:2`);
    await h1.mustUp(
      "name: pushed\nservices:\n  app:\n    image: team/web:2\n    deploy: {mode: global}\n",
    );
    expect(await nodesOfTasks("pushed")).toEqual(["h1", "h2", "h3"]);
    const denied = await h2.lab.podman(
      ...push,
      "--creds",
      `me:${token}`,
      HELLO_IMAGE,
      `${REGISTRY}/team/web:3`,
    );
    expect(denied.stderr).toContain("push to the registry of a server");
  });

  test("are copied by skopeo from another machine, through the port for people", async () => {
    const token = await h1.token("--admin");
    const from = `docker://${h1.address}:6770/team/web:2`;
    const creds = ["--src-creds", `me:${token}`, "--src-tls-verify=false"];
    const target = `dir:${join(h2.lab.dir, "copied")}`;
    const without = await h2.lab.run(["skopeo", "copy", "--src-tls-verify=false", from, target]);
    expect(without.stderr).toContain("unauthorized");
    const copied = await h2.lab.run(["skopeo", "copy", "--all", ...creds, from, target]);
    expect(copied).toMatchObject({ code: 0 });
  });

  test("are saved, and are what they were when podman loads them", async () => {
    const file = join(h1.lab.dir, "saved.tar");
    await h1.must("image", "save", HELLO_IMAGE, file);
    const id = await h2.podman("inspect", "--format", "{{.Id}}", HELLO_IMAGE);
    const copy = await h2.lab.run(["cp", file, join(h2.lab.dir, "saved.tar")]);
    expect(copy.code).toBe(0);
    await h2.podman("load", "--input", join(h2.lab.dir, "saved.tar"));
    expect(await h2.podman("inspect", "--format", "{{.Id}}", HELLO_IMAGE)).toBe(id);
  });

  test("go when nobody needs them, and not before", async () => {
    const refused = await h1.orchd("image", "rm", HELLO_IMAGE);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("hello/web-app")]);
    await h1.must("down", "hello");
    await h1.must("image", "rm", HELLO_IMAGE);
    const kept = await h1.json<KeptImage[]>("image", "ls");
    expect(kept.map(({ reference }) => reference)).toEqual(["docker.io/team/web:2"]);
  });
});
