import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import type { ItemSummary } from "../../src/model/item.ts";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";

/** Words that stand nowhere else, so that finding them means something. */
const FIRST = "plain-7f3a9c-first-password";
const SECOND = "plain-91be2d-second-password";
const EXTERNAL = "plain-c05d77-api-token";
const CONFIG = "plain-4e8810-config-line";
const PASSPHRASE = "plain-2b66f1-vault-passphrase";
const BACKUP_PASSPHRASE = "plain-d3907c-backup-passphrase";
const NEWER = "plain-66fd13-newer-token";
const PLAIN = [FIRST, SECOND, EXTERNAL, CONFIG, PASSPHRASE, BACKUP_PASSPHRASE, NEWER];
/** What a person may give a command in its environment. */
const IN_ENVIRONMENT = new Set([BACKUP_PASSPHRASE]);
const KILLS = 3;

/** The most that a secret can have, and no text. */
const BLOB = randomBytes(500 * 1024);

const COMPOSE = `
name: shop
services:
  db:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: [sleep, "100000"]
    stop_grace_period: 1s
    read_only: true
    tmpfs: [/run, /tmp]
    hostname: "{{.Service.Name}}-{{.Task.Slot}}"
    environment: { WHERE: "{{.Node.Hostname}}" }
    secrets:
      - { source: password, uid: "1000", gid: "1001", mode: 0400 }
      - { source: token, target: api/token }
      - blob
    configs: [{ source: settings, target: /etc/shop.conf }]
    deploy: { placement: { constraints: [node.hostname == h2] } }
secrets:
  password: { file: ./password.txt }
  token: { external: true, name: api-token }
  blob: { external: true, name: blob }
configs:
  settings:
    template_driver: golang
    content: |
      ${CONFIG} on {{.Node.Hostname}} with {{secret "password"}}
`;

describe("secrets and configs on two machines, one with containerd", () => {
  let fleet: Fleet;
  let h1: FleetHost;
  let h2: FleetHost;
  const processes = new ProcessWatch();
  beforeAll(async () => {
    processes.start();
    fleet = await Fleet.start(2, ["podman", "containerd"]);
    [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    for (const host of [h1, h2]) await giveDisk(host);
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
    await h1.loadImage();
    await h1.orchdWith({ input: EXTERNAL }, "secret", "create", "api-token", "-");
    await h1.orchdWith({ input: BLOB }, "secret", "create", "blob", "-");
    h1.write("password.txt", FIRST);
    await h1.mustUp(COMPOSE);
  });
  afterAll(async () => {
    processes.stop();
    await fleet.stop();
  });

  async function inside(command: string): Promise<string> {
    return (await h1.must("exec", "shop/db", "--", "sh", "-c", command)).trim();
  }

  test("a task reads its secret, with the owner and mode that the file asks for", async () => {
    expect(await inside("cat /run/secrets/password")).toBe(FIRST);
    expect(await inside("ls -ln /run/secrets/password")).toMatch(/^-r-------- .* 1000 .* 1001 /);
    expect(await inside("cat /run/secrets/api/token")).toBe(EXTERNAL);
    expect(await inside("ls -ln /run/secrets/api/token")).toMatch(/^-r--r--r-- /);
  });

  test("a secret has any bytes, up to its limit", async () => {
    const [digest] = (await inside("sha256sum /run/secrets/blob")).split(" ");
    expect(digest).toBe(createHash("sha256").update(BLOB).digest("hex"));
    for (const [input, told] of [
      ["", "must not be empty"],
      [Buffer.concat([BLOB, Buffer.from([0])]), "at most 500 KiB"],
    ] as const) {
      const { code, stderr } = await h1.orchdWith({ input }, "secret", "create", "other", "-");
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(told) });
    }
  });

  test("a secret is in memory, and nobody in the container can change it", async () => {
    expect(await inside("grep ' /run/secrets/password ' /proc/mounts")).toMatch(/ tmpfs ro,/);
    const change = "echo x > /run/secrets/password";
    expect((await h1.orchd("exec", "shop/db", "--", "sh", "-c", change)).code).not.toBe(0);
  });

  test("templates are filled in on the node of the task", async () => {
    expect(await inside("hostname")).toBe("shop_db-1");
    expect(await inside("echo $WHERE")).toBe("h2");
    expect(await inside("cat /etc/shop.conf")).toBe(`${CONFIG} on h2 with ${FIRST}`);
  });

  test("neither the runtime nor orchd shows one", async () => {
    const ids = (await h2.containers("shop")).map((line) => line.split(" ")[0] ?? "");
    const shown = [
      ...(await Promise.all(ids.map((id) => h2.runtime.inspect(id)))),
      ...(await Promise.all(
        [
          ["secret", "inspect", "shop_password", "--json"],
          ["secret", "ls", "--json"],
          ["services", "--json"],
          ["ps", "--json", "--all"],
          ["explain", "shop/db", "--json"],
        ].map((words) => h1.must(...words)),
      )),
      h1.log,
      h2.log,
    ].join("\n");
    expect(shown).toContain("shop_password");
    expect(PLAIN.filter((text) => shown.includes(text))).toEqual([]);
  });

  test("the same file again changes nothing", async () => {
    const before = await h2.containers("shop");
    await h1.mustUp(COMPOSE);
    expect(await h2.containers("shop")).toEqual(before);
  });

  test("another content is another version, and new tasks read it", async () => {
    h1.write("password.txt", SECOND);
    const plan = await h1.up(COMPOSE, "--dry-run");
    expect(plan.stdout).toContain("secret shop_password 1 -> 2");
    await h1.mustUp(COMPOSE);
    expect(await inside("cat /run/secrets/password")).toBe(SECOND);
  });

  test("an undo brings the older one back", async () => {
    await h1.must("rollout", "undo", "shop/db");
    await h1.waitConverged("shop/db");
    expect(await inside("cat /run/secrets/password")).toBe(FIRST);
  });

  test("one that is in use is not removed, and who uses it is told", async () => {
    const { code, stderr } = await h1.orchd("secret", "rm", "api-token");
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("shop/db") });
  });

  test("a node without power has its secrets again with no server in reach", async () => {
    await h1.endServer("SIGKILL");
    await h2.cutPower();
    await h2.boot();
    await mountDisk(h2);
    h2.spawnAgent();
    const read = async () => {
      const [container] = await h2.containers("shop");
      const id = container?.split(" ")[0];
      return id === undefined ? "" : h2.runtime.inside(id, ["cat", "/run/secrets/password"]);
    };
    await h2.waitFor("the task reads its secret", async () => (await read()) === FIRST);
    await h1.startServer();
  });

  test("a server with autolock starts locked, and brings secrets once it is unlocked", async () => {
    await h1.orchdWith({ input: `${PASSPHRASE}\n` }, "autolock", "on");
    await h1.endServer("SIGKILL");
    await h1.startServer();
    // To the version that the node has forgotten since.
    await h1.must("rollout", "undo", "shop/db", "--detach");
    await h1.waitFor("the task waits for its secrets", async () => {
      const tasks = await h1.tasks("shop");
      return tasks.some(({ message }) => message.startsWith("waits for secret"));
    });
    const refused = await h1.orchdWith({ input: "x" }, "secret", "create", "more", "-");
    expect(refused.stderr).toContain("orchd unlock");
    const wrong = await h1.orchdWith({ input: "not the passphrase\n" }, "unlock");
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining("not the right one") });
    await h1.orchdWith({ input: `${PASSPHRASE}\n` }, "unlock");
    await h1.must("secret", "rotate-key");
    await h1.mustUp(COMPOSE);
    expect(await inside("cat /run/secrets/password")).toBe(SECOND);
  });

  test("none is lost or laid bare when a server is killed amid new ones and keys", async () => {
    for (let kill = 0; kill < KILLS; kill++) {
      const commands = [
        h1.orchdWith({ input: NEWER }, "secret", "update", "api-token", "-"),
        h1.orchdWith({ input: NEWER }, "secret", "create", `newer-${kill}`, "-"),
        h1.orchd("secret", "rotate-key"),
      ];
      await Promise.race(commands);
      await h1.endServer("SIGKILL");
      await Promise.all(commands);
      await h1.startServer();
      await h1.orchdWith({ input: `${PASSPHRASE}\n` }, "unlock");
    }
    await h1.orchdWith({ input: NEWER }, "secret", "update", "api-token", "-");
    await h1.waitConverged("shop/db");
    expect(await inside("cat /run/secrets/api/token")).toBe(NEWER);
    expect(await inside("cat /run/secrets/password")).toBe(SECOND);
    const items = await h1.json<ItemSummary[]>("secret", "ls");
    const newer = items.map(({ name }) => name).filter((name) => name.startsWith("newer-"));
    for (const name of newer) await h1.must("secret", "rm", name);
  });

  test("no plain text is on a disk of either machine, nor in what is saved of them", async () => {
    await h1.must("backup", join(h1.lab.dir, "cluster.tar"));
    const sealed = { env: { ORCHD_BACKUP_PASSPHRASE: BACKUP_PASSPHRASE } };
    const saved = await h1.orchdWith(sealed, "backup", join(h1.lab.dir, "sealed.tar"));
    expect(saved).toMatchObject({ code: 0, stderr: expect.stringContaining("sealed.tar") });
    // Nothing is put in order before the looking.
    await h1.endServer("SIGKILL");
    await h1.lab.run(["sync"]);
    const found = [h1, h2].flatMap((host) => {
      const files = filesBelow(host.lab.dir);
      const holdersOf = (texts: readonly string[]) => {
        return files.filter((file) => holdsAny(readFileSync(file), texts));
      };
      expect(holdersOf(["shop_password"])).not.toEqual([]);
      const blob = BLOB.subarray(1000, 1100);
      expect(files.filter((file) => readFileSync(file).includes(blob))).toEqual([]);
      return holdersOf(PLAIN).map((file) => `${host.name} ${relative(host.lab.dir, file)}`);
    });
    // What the test itself wrote, for `up` to read: the looking finds what is there.
    expect(found.sort()).toEqual(["h1 files/compose.yaml", "h1 files/password.txt"]);
    await h1.startServer();
  });

  test("no process of all this time had one among its words or in its environment", () => {
    expect(processes.found).toEqual([]);
    const seen = [...processes.seen].join("\n");
    for (const words of ["orchd server", "orchd join", "orchd secret create", "conmon "]) {
      expect(seen).toContain(words);
    }
  });

  test("down takes the stack's own ones along and leaves the others", async () => {
    await h1.must("down", "shop");
    const left = await h1.json<ItemSummary[]>("secret", "ls");
    expect(left.map(({ name, users }) => ({ name, users }))).toEqual([
      { name: "api-token", users: [] },
      { name: "blob", users: [] },
    ]);
    expect(await h1.json<ItemSummary[]>("config", "ls")).toEqual([]);
    const tasks = await h1.json<TaskSummary[]>("ps", "--all");
    expect(tasks).toEqual([]);
    await h2.waitFor("the files are gone", () => grantsOn(h2).length === 0);
  });
});

/** Looks again and again at what every process of the machine shows to others. */
class ProcessWatch {
  static readonly #everyMs = 50;
  #timer: Timer | undefined;
  /** The words of every process that was seen, without NULs. */
  readonly seen = new Set<string>();
  readonly found: string[] = [];

  start(): void {
    this.#timer = setInterval(() => this.#look(), ProcessWatch.#everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const pid of readdirSync("/proc")) {
      // This process has them in its memory alone, but its environment is not orchd's.
      if (!/^\d+$/.test(pid) || pid === String(process.pid)) continue;
      const words = textOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
      this.seen.add(words);
      const environment = textOf(`/proc/${pid}/environ`);
      const shown = PLAIN.filter(
        (text) => words.includes(text) || (environment.includes(text) && !IN_ENVIRONMENT.has(text)),
      );
      if (shown.length > 0) this.found.push(words);
    }
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // The process has ended meanwhile.
    return "";
  }
}

/** A disk of its own for what orchd keeps, so that what it has removed is looked at as well. */
async function giveDisk(host: FleetHost): Promise<void> {
  const make = `truncate -s 160M ${diskOf(host)} && mkfs.ext4 -q ${diskOf(host)}`;
  await host.lab.run(["sh", "-c", make]);
  await mountDisk(host);
}

async function mountDisk(host: FleetHost): Promise<void> {
  const mount = ["mount", "-o", "loop", diskOf(host), "/var/lib/orchd"];
  const { code, stderr } = await host.lab.run(mount);
  if (code !== 0) console.log(`removed files are not searched, only those there: ${stderr}`);
}

function diskOf(host: FleetHost): string {
  return join(host.lab.dir, "orchd.img");
}

/** Whether one of the texts is there, as it is or in base64, wherever that begins. */
function holdsAny(bytes: Buffer, texts: readonly string[]): boolean {
  const forms = texts.flatMap((text) => {
    const shifted = [0, 1, 2].map((at) => Buffer.from(text.slice(at, at + 18)).toString("base64"));
    return [text, ...shifted];
  });
  return forms.some((form) => bytes.includes(form));
}

/** Files with secrets that are in the machine's memory now. */
function grantsOn(host: FleetHost): string[] {
  const directory = join(host.lab.root, "run/orchd/grants");
  return filesBelow(directory);
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => lstatSync(path).isFile());
}
