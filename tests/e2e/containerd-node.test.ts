import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import { Fleet } from "../../scripts/lab/fleet.ts";
import { aStack, HELLO, Host } from "../../scripts/lab/host.ts";
import { root } from "../../scripts/project.ts";

const STACK = HELLO.replace("replicas: 3", "replicas: 4");

describe("a cluster of a node with Podman and one with containerd", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(2, ["podman", "containerd"]);
    const [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
    await h1.loadImage();
    await h1.mustUp(STACK);
  });
  afterAll(async () => fleet.stop());

  async function tasksOn(node: string): Promise<TaskSummary[]> {
    const tasks = await fleet.host("h1").json<TaskSummary[]>("ps", "hello");
    return tasks.filter((task) => task.node === node && task.ready);
  }

  test("runs one stack, half of it on each", async () => {
    expect(fleet.host("h1").log).toContain("tasks are run by podman");
    expect(await tasksOn("h1")).toHaveLength(2);
    expect(await tasksOn("h2")).toHaveLength(2);
    for (const name of ["h1", "h2"]) {
      expect(await fleet.host(name).containers("hello")).toHaveLength(2);
    }
  });

  test("the port of both machines leads to tasks of both", async () => {
    for (const name of ["h1", "h2"]) {
      const answers = new Set<string>();
      await fleet.host(name).waitFor("four tasks have answered", async () => {
        const answer = await fleet.host(name).get("http://127.0.0.1:8080/");
        if (answer !== undefined) answers.add(answer);
        return answers.size === 4;
      });
    }
  });

  test("names and addresses work from a task of the one to those of the other", async () => {
    const [there] = await tasksOn("h2");
    const script = "for i in 1 2 3 4; do wget -qO- http://tasks.web-app:8080/; done";
    const { code, stdout } = await fleet
      .host("h1")
      .orchd("exec", there?.name ?? "", "--", "sh", "-c", script);
    expect(code).toBe(0);
    expect(stdout.match(/Hello from/g)).toHaveLength(4);
  });

  test("keeps a volume of a task with containerd until the stack goes with it", async () => {
    const h1 = fleet.host("h1");
    const service = `command: ["sleep", "1000000"]
stop_grace_period: 0s
volumes: ["data:/data"]
deploy: { placement: { constraints: ["node.hostname == h2"] } }`;
    const read = () => h1.must("exec", "kept/app.1", "--", "cat", "/data/file");
    await h1.mustUp(`${aStack("kept", service)}volumes: { data: {} }\n`);
    await h1.must("exec", "kept/app.1", "--", "sh", "-c", "echo kept > /data/file");
    const refused = await h1.orchd("volume", "rm", "kept_data");
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("in use") });
    expect(await read()).toBe("kept\n");
    await h1.must("down", "kept", "--volumes");
    await h1.waitFor(
      "it is gone",
      async () => (await h1.json<unknown[]>("volume", "ls")).length === 0,
    );
  });
});

test("npm start --runtime containerd deploys the hello stack without Podman", async () => {
  const host = await Host.bare();
  try {
    const words = ["npm", "start", "--", "--once", "--runtime", "containerd"];
    const { code, stdout, stderr } = await host.lab.run(words, {
      workingDir: root,
      timeoutMs: 55_000,
    });
    expect(stdout + stderr).toContain("says: Hello from ");
    expect(code).toBe(0);
    expect(await host.containers("hello")).toEqual([]);
  } finally {
    await host.stop();
  }
});
