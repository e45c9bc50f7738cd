import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import type { BundleResult } from "../../src/model/bundle.ts";
import type { ImageSummary } from "../../src/model/session.ts";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";

const STACK = `
name: shop
services:
  web:
    image: ${HELLO_IMAGE}
    deploy: {mode: global}
    configs: [{source: page, target: /page}]
    secrets: [password]
configs:
  page: {content: "hello from the stick"}
secrets:
  password: {environment: PASSWORD}
`;

describe("a site that nothing but a stick reaches", () => {
  let fleet: Fleet;
  let [office, server, agent] = [] as unknown as [FleetHost, FleetHost, FleetHost];
  beforeAll(async () => {
    fleet = await Fleet.start(3);
    [office, server, agent] = [fleet.host("h1"), fleet.host("h2"), fleet.host("h3")];
    await Promise.all([office.startServer(), server.startServer()]);
    agent.spawnAgent([`${await server.token()}@${server.address}`]);
    await server.waitFor("both nodes are ready", async () => {
      const nodes = await server.json<NodeSummary[]>("nodes");
      return nodes.filter(({ health }) => health === "ready").length === 2;
    });
    const token = await server.token("--admin");
    const target = ["--server", `${server.address}:6770`, "--token", token];
    const added = await onAgent("context", "add", "site", ...target, "--use");
    expect([added.code, added.stderr]).toEqual([0, expect.any(String)]);
  });
  afterAll(async () => fleet.stop());

  /** A command on the agent's machine, where the site is a context as on any that is no server. */
  function onAgent(...words: string[]) {
    // The machines of the lab share the home directory of whoever runs it.
    const env = { XDG_CONFIG_HOME: join(agent.lab.dir, "config") };
    return agent.orchdWith({ env }, ...words);
  }

  async function jsonOnAgent<T>(...words: string[]): Promise<T> {
    const { code, stdout, stderr } = await onAgent(...words, "--json");
    if (code !== 0) throw new Error(`orchd ${words.join(" ")} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** A file of the office, on a machine of the site. */
  function carry(name: string): string {
    const path = join(agent.lab.dir, name);
    copyFileSync(join(office.lab.dir, name), path);
    return path;
  }

  async function make(): Promise<void> {
    await office.loadImage();
    const env = { PASSWORD: "only-the-site-reads-it" };
    const file = office.write("compose.yaml", STACK);
    const up = await office.orchdWith({ env }, "up", "-f", file);
    expect([up.code, up.stderr]).toEqual([0, ""]);
    const key = (await onAgent("bundle", "key")).stdout.trim();
    await office.must("bundle", "create", join(office.lab.dir, "site.tar"), "shop", "--for", key);
    const signing = await office.must("bundle", "key", "--signing");
    writeFileSync(join(office.lab.dir, "office.pem"), signing);
  }

  test("runs the stack on every node after one command on an agent's machine", async () => {
    await make();
    // What is on the stick is all that there is.
    await office.cutLink();
    const [stick, trust] = [carry("site.tar"), carry("office.pem")];
    expect(readFileSync(stick).includes("only-the-site-reads-it")).toBe(false);
    const applied = await onAgent("bundle", "apply", stick, "--trust", trust);
    expect([applied.code, applied.stderr]).toEqual([0, ""]);
    expect(applied.stdout).toContain("stack shop has converged");
    for (const { name } of await jsonOnAgent<TaskSummary[]>("ps", "shop")) {
      const read = ["exec", name, "--", "cat", "/page", "/run/secrets/password"];
      expect((await onAgent(...read)).stdout).toBe("hello from the stickonly-the-site-reads-it");
    }
    const nodes = await jsonOnAgent<{ node: string; images: ImageSummary[] }[]>(
      "image",
      "ls",
      "--nodes",
    );
    expect(nodes.map(({ images }) => images.flatMap(({ references }) => references))).toEqual([
      [HELLO_IMAGE],
      [HELLO_IMAGE],
    ]);
  });

  test("is left as it is by the same stick once more, on any of its machines", async () => {
    const before = await server.containers("shop");
    const stick = carry("site.tar");
    const trust = ["--trust", carry("office.pem")];
    const again = await jsonOnAgent<BundleResult>("bundle", "apply", stick, ...trust);
    expect(again.changed).toBe(false);
    const there = join(server.lab.dir, "site.tar");
    copyFileSync(stick, there);
    copyFileSync(join(agent.lab.dir, "office.pem"), join(server.lab.dir, "office.pem"));
    const said = await server.must(
      "bundle",
      "apply",
      there,
      "--trust",
      `${server.lab.dir}/office.pem`,
    );
    expect(said).toBe("All that is in the bundle is here already: nothing was changed.\n");
    expect(await server.containers("shop")).toEqual(before);
  });

  test("changes nothing for a stick with a flipped byte, or one of a stranger", async () => {
    const stick = carry("site.tar");
    const refused = await onAgent("bundle", "apply", stick);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("is not trusted")]);
    const bytes = readFileSync(stick);
    const at = bytes.length - 3000;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(stick, bytes);
    const trust = ["--trust", carry("office.pem")];
    const damaged = await onAgent("bundle", "apply", stick, ...trust);
    expect([damaged.code, damaged.stderr]).toEqual([
      1,
      "nothing is changed: the bundle is damaged: copy it again\n",
    ]);
    expect((await onAgent("bundle", "inspect", stick)).stderr).toContain("is damaged");
  });

  test("can hand the images of a stick to other programs", async () => {
    const stick = join(office.lab.dir, "site.tar");
    const id = await office.podman("inspect", "--format", "{{.Id}}", HELLO_IMAGE);
    await office.must("down", "shop");
    await office.podman("rmi", "--force", HELLO_IMAGE);
    await office.podman("load", "--input", stick);
    expect(await office.podman("inspect", "--format", "{{.Id}}", HELLO_IMAGE)).toBe(id);
  });
});
