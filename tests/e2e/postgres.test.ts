import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { POSTGRES_IMAGE, writePostgresImage } from "../../scripts/postgres-image.ts";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import type { VolumeSummary } from "../../src/model/volume.ts";

const PASSWORD = "a long password, of three kinds: 7/ü";
const ROWS_EACH_TIME = 5000;

const COMPOSE = `
name: shop
services:
  db:
    image: ${POSTGRES_IMAGE}
    pull_policy: never
    stop_grace_period: 20s
    stop_signal: SIGINT
    volumes: ["data:/var/lib/postgresql/data"]
    secrets: [password]
    configs: [{ source: settings, target: /etc/postgresql.conf }]
    healthcheck: { test: [CMD, pg_isready, -h, 127.0.0.1], interval: 1s, timeout: 5s }
    deploy: { restart_policy: { delay: 1s } }
volumes: { data: {} }
secrets: { password: { file: ./password.txt } }
configs:
  settings:
    template_driver: golang
    content: |
      cluster_name = '{{.Node.Hostname}}'
      listen_addresses = '*'
      unix_socket_directories = '/tmp'
      shared_buffers = 16MB
`;

/** What must be the same whatever happens: how many rows, and all that is in them. */
const CONTENT = "select count(*), md5(string_agg(id || ':' || body, ',' order by id)) from orders";

describe("a PostgreSQL with a secret, a config and a volume", () => {
  let fleet: Fleet;
  let h1: FleetHost;
  let h2: FleetHost;
  let h3: FleetHost;
  let spare: FleetHost;
  beforeAll(async () => {
    fleet = await Fleet.start(4);
    [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    [h3, spare] = [fleet.host("h3"), fleet.host("h4")];
    await h1.startServer();
    const token = await h1.token();
    for (const host of [h2, h3]) host.spawnAgent([`${token}@${h1.address}`]);
    await waitForNodes(h1, 3);
    const archive = join(h1.lab.dir, "postgres.tar");
    writePostgresImage(archive);
    await h1.must("image", "load", archive);
    h1.write("password.txt", PASSWORD);
    for (const name of ["h1", "h3"]) await h1.must("node", "pause", name);
    await h1.mustUp(COMPOSE);
    for (const name of ["h1", "h3"]) await h1.must("node", "activate", name);
  });
  afterAll(async () => fleet.stop());

  test("runs where it may, with its config and its secret, and takes data", async () => {
    expect((await task(h1)).node).toBe("h2");
    expect(await sql(h2, "show cluster_name")).toBe("h2");
    await sql(h2, "create table orders (id serial primary key, body text not null)");
    await order(h2);
    expect(await sql(h2, "select count(*) from orders")).toBe(`${ROWS_EACH_TIME}`);
    const wrong = await psql(h2, "select 1", "not the password");
    expect(wrong.stderr).toContain("password authentication failed");
  });

  test("has all of it after its process was killed amid its work", async () => {
    const [before, was] = [await content(h2), await task(h1)];
    const unfinished = sql(h2, "begin; delete from orders; select pg_sleep(600)").catch(() => "");
    await waitForSql(h2, "select count(*) from pg_stat_activity where query ~ '^begin'", "1");
    const id = await containerOn(h2);
    const pid = await h2.podman("inspect", "--format", "{{.State.Pid}}", id);
    await h2.lab.run(["kill", "-9", pid]);
    await h1.waitFor("another task is ready", async () => {
      const tasks = await h1.running("shop");
      return tasks.length === 1 && tasks[0]?.id !== was.id && tasks[0]?.ready === true;
    });
    expect(await unfinished).toBe("");
    expect(await content(h2)).toBe(before);
    await order(h2);
  });

  test("has all of it after its node lost its power, with no server to ask", async () => {
    const before = await content(h2);
    await h1.endServer();
    await h2.cutPower();
    await h2.boot();
    h2.spawnAgent();
    await waitForSql(h2, CONTENT, before);
    expect(await sql(h2, "show cluster_name")).toBe("h2");
    await order(h2);
    await h1.startServer();
    await waitForNodes(h1, 3);
    await waitForTask(h1);
    expect(await sql(h2, "select count(*) from orders")).toBe(`${3 * ROWS_EACH_TIME}`);
  });

  test("goes on when its cluster's server is put back on a new machine", async () => {
    const backup = join(h1.lab.dir, "cluster.tar");
    await h1.must("backup", backup);
    const vaultKey = join(h1.dataDir, "vault.key");
    expect(existsSync(vaultKey)).toBe(true);
    const [before, container] = [await content(h2), await h2.containers("shop")];
    const kept = [backup, vaultKey].map((path) => Bun.file(path).bytes());
    const [cluster, key] = await Promise.all(kept);
    await h1.cutPower();
    await spare.must("restore", spare.write("cluster.tar", cluster ?? ""));
    await Bun.write(join(spare.dataDir, "vault.key"), key ?? "");
    await spare.startServer();
    // Nobody touches the agents: they find the machine by themselves, at its other address.
    await spare.waitFor("tasks are reached through the new server", async () => {
      return (await spare.orchd("exec", "shop/db", "--", "true")).code === 0;
    });
    await waitForNodes(spare, 3);
    await waitForTask(spare);
    expect(await h2.containers("shop")).toEqual(container);
    expect(await content(h2)).toBe(before);
    await order(h2);
  });

  test("moves to another node with its volume", async () => {
    await spare.waitFor("h3 has its session", async () => {
      return (await spare.orchd("explain", "h3")).stdout.includes("its session is connected");
    });
    const before = await content(h2);
    const moved = await spare.orchd("volume", "move", "shop_data", "h3");
    expect([moved.code, moved.stderr]).toEqual([0, expect.stringContaining("in use there")]);
    await waitForTask(spare);
    expect((await task(spare)).node).toBe("h3");
    expect(await sql(h3, "show cluster_name")).toBe("h3");
    expect(await content(h3)).toBe(before);
    await order(h3);
    expect(await sql(h3, "select count(*) from orders")).toBe(`${5 * ROWS_EACH_TIME}`);
    const volumes = await spare.json<VolumeSummary[]>("volume", "ls");
    expect(volumes.map(({ name, node }) => [name, node])).toEqual([["shop_data", "h3"]]);
  });
});

async function waitForNodes(host: FleetHost, count: number): Promise<void> {
  await host.waitFor(`${count} nodes are ready`, async () => {
    const { code, stdout } = await host.orchd("nodes", "--json");
    if (code !== 0) return false;
    const nodes = JSON.parse(stdout) as NodeSummary[];
    return nodes.filter((node) => node.health === "ready").length === count;
  });
}

async function task(server: FleetHost): Promise<TaskSummary> {
  const [only, ...others] = await server.running("shop");
  if (only === undefined || others.length > 0) throw new Error("not one task runs");
  return only;
}

async function waitForTask(server: FleetHost): Promise<void> {
  await server.waitFor("the one task is ready", async () => {
    const tasks = await server.running("shop");
    return tasks.length === 1 && tasks[0]?.ready === true;
  });
}

async function containerOn(host: FleetHost): Promise<string> {
  const [container, ...others] = await host.containers("shop");
  if (container === undefined || others.length > 0) throw new Error("not one container runs");
  return container.split(" ")[0] ?? "";
}

/** Asks by Podman, which needs no server, and by TCP, which needs the password. */
async function psql(host: FleetHost, statement: string, password: string) {
  const words = ["psql", "-h", "127.0.0.1", "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qAt"];
  const environment = ["--env", `PGPASSWORD=${password}`];
  const id = await containerOn(host);
  return host.lab.podman("exec", ...environment, id, ...words, "-c", statement);
}

async function sql(host: FleetHost, statement: string): Promise<string> {
  const { code, stdout, stderr } = await psql(host, statement, PASSWORD);
  if (code !== 0) throw new Error(`${statement}: ${stderr}`);
  return stdout.trim();
}

async function waitForSql(host: FleetHost, statement: string, answer: string): Promise<void> {
  await host.waitFor(`${statement} answers ${answer}`, async () => {
    const asked = await sql(host, statement).catch(() => "");
    return asked === answer;
  });
}

async function content(host: FleetHost): Promise<string> {
  return sql(host, CONTENT);
}

async function order(host: FleetHost): Promise<void> {
  const body = "repeat(md5(random()::text), 8)";
  const from = `from generate_series(1, ${ROWS_EACH_TIME})`;
  await sql(host, `insert into orders (body) select ${body} ${from}`);
}
