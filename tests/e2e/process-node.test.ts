import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import { Fleet } from "../../scripts/lab/fleet.ts";
import { HELLO } from "../../scripts/lab/host.ts";

/** The hello service on containers, and the same as a plain process on the third node. */
const STACK = `${HELLO.replace("replicas: 3", "replicas: 2")}
  plain:
    command:
      - /bin/sh
      - -c
      - 'echo "Plain from $$HOSTNAME" >/tmp/index.html; exec busybox httpd -f -p 8080 -h /tmp'
    ports: ["8099:8080"]
    x-orchd: { runtime: process }
`;

describe("a cluster of nodes with Podman, with containerd and with processes alone", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(3, ["podman", "containerd"]);
    const [h1, h2, h3] = [fleet.host("h1"), fleet.host("h2"), fleet.host("h3")];
    await h1.startServer();
    const token = `${await h1.token()}@${h1.address}`;
    h2.spawnAgent([token]);
    h3.spawnAgent([token, "--runtime", "process", "--allow-process", "/usr/bin"]);
    await h1.waitFor("all nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 3;
    });
    await h1.loadImage();
    await h1.mustUp(STACK);
  });
  afterAll(async () => {
    // Cgroups are the machine's: only an agent that goes on to the end takes its own away.
    await fleet.host("h1").orchd("down", "hello");
    await fleet.stop();
  });

  test("runs one stack, containers on the one and processes on the other", async () => {
    const tasks = await fleet.host("h1").json<TaskSummary[]>("ps", "hello");
    const ready = tasks.filter((task) => task.ready);
    expect(ready.filter(({ node }) => node === "h3")).toHaveLength(1);
    expect(ready.filter(({ node }) => node !== "h3")).toHaveLength(2);
  });

  test("the process's port is answered by all machines", async () => {
    for (const name of ["h1", "h2", "h3"]) {
      await fleet.host(name).waitFor("the process answers", async () => {
        const answer = await fleet.host(name).get("http://127.0.0.1:8099/");
        return answer?.includes("Plain from") === true;
      });
    }
  });

  test("names and addresses work both ways between containers and processes", async () => {
    const h1 = fleet.host("h1");
    const tasks = await h1.json<TaskSummary[]>("ps", "hello");
    const plain = tasks.find(({ node, ready }) => node === "h3" && ready);
    const web = tasks.find(({ node, ready }) => node !== "h3" && ready);
    const there = await h1.orchd(
      "exec",
      web?.name ?? "",
      "--",
      "wget",
      "-qO-",
      "http://plain:8080/",
    );
    expect(there.stdout).toContain("Plain from");
    const script = "busybox wget -qO- http://web-app:8080/";
    const back = await h1.orchd("exec", plain?.name ?? "", "--", "sh", "-c", script);
    expect(back.stdout).toContain("Hello from");
  });
});
