import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentKeyOf } from "../../../src/agent/contents.ts";
import { isInMemory, memoryDirectory } from "../../../src/agent/memory-directory.ts";
import { TaskFiles } from "../../../src/agent/task-files.ts";
import type { Mount } from "../../../src/model/container.ts";
import { newKey } from "../../../src/pki/keys.ts";
import type { Runtime } from "../../../src/runtime/driver.ts";
import { aContainer, aGrant, anAssignment, anId, aRestart } from "../../builders.ts";
import { Rig } from "./rig.ts";

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-grants-"));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
const ref = (number: number) => ({ id: anId<"item">("pass"), number });
const bytes = (text: string) => new TextEncoder().encode(text);
const place = () => ({ find: () => directory, open: async () => directory });
const grant = (over: Parameters<typeof aGrant>[1] = {}, number = 1) => {
  return aGrant(number, { uid, gid, mode: 0o440, ...over });
};
const task = (grants = [grant()]) => {
  return anAssignment("t", { container: aContainer({ networkMode: "none", grants }) });
};

/** An agent with a key of its own, and what its containers are given to mount. */
async function anAgent(key?: Uint8Array) {
  const rig = new Rig();
  rig.secrets = { key: key ?? contentKeyOf(await newKey()), directory: place() };
  const mounts: Mount[][] = [];
  const watch = (runtime: Runtime): Runtime => {
    const create = runtime.create.bind(runtime);
    runtime.create = (options) => {
      mounts.push(options.assignment.container.mounts);
      return create(options);
    };
    return runtime;
  };
  await rig.start(watch);
  const take = async (number: number, text: string | undefined) => {
    const taken = rig.agent?.takeContent(ref(number), text === undefined ? text : bytes(text));
    await taken;
    await rig.pass(5000);
  };
  return { rig, mounts, take, start: () => rig.start(watch) };
}

describe("a task that reads a secret", () => {
  test("waits until it is here and says so, and is started then at once", async () => {
    const { rig, take } = await anAgent();
    await rig.assign(task());
    expect(rig.latest.get(anId("t"))).toMatchObject({
      state: "preparing",
      message:
        "waits for secret shop_pass, which comes from a server that is in reach and unlocked",
    });
    await take(1, "hunter2");
    expect(rig.latest.get(anId("t"))).toMatchObject({ state: "running", message: "" });
  });

  test("finds it as a file of its own, mounted so that it can't be changed", async () => {
    const { rig, mounts, take } = await anAgent();
    await rig.assign(task());
    await take(1, "hunter2");
    const source = join(directory, anId("t"), "0");
    expect(mounts).toEqual([
      [{ type: "bind", source, target: "/run/secrets/pass", readOnly: true, createSource: false }],
    ]);
    expect(fs.readFileSync(source, "utf8")).toBe("hunter2");
    expect(fs.statSync(source)).toMatchObject({ uid, gid, mode: 0o100440 });
    expect(fs.statSync(join(directory, anId("t"))).mode & 0o777).toBe(0o700);
  });

  test("finds it where nobody may mount anything, and can't ask for its file by name", async () => {
    const { rig, take } = await anAgent();
    rig.kill();
    rig.binds = { allowed: [], own: [directory] };
    await rig.start();
    await rig.assign(task());
    await take(1, "hunter2");
    expect(rig.latest.get(anId("t"))).toMatchObject({ state: "running" });
    const source = join(directory, anId("t"), "0");
    const mount = { type: "bind", source, target: "/x", readOnly: true } as const;
    const container = aContainer({ mounts: [{ ...mount, createSource: false }] });
    await rig.assign(task(), anAssignment("u", { container }));
    expect(rig.latest.get(anId("u"))).toMatchObject({
      state: "rejected",
      message: expect.stringContaining("orchd's own"),
    });
  });

  test("has nothing of it told of what its health check prints", async () => {
    const { rig, take } = await anAgent();
    const check = { type: "exec" as const, command: ["ask"] };
    const probes = { healthcheck: { disabled: false, check, failures: 1 } };
    const { container } = task();
    await rig.assign({ ...task(), container: { ...container, probes } });
    await take(1, "as asked\n");
    const made = rig.container("t");
    if (made === undefined) throw new Error("there is no container of t");
    made.isWell = false;
    await rig.pass(120_000);
    expect(rig.latest.get(anId("t"))).toMatchObject({ state: "failed", message: "unhealthy: ***" });
  });

  test("is rejected with the reason when there is none any more", async () => {
    const { rig, take } = await anAgent();
    await rig.assign(task());
    await take(1, undefined);
    expect(rig.latest.get(anId("t"))).toMatchObject({
      state: "rejected",
      message: expect.stringContaining("secret shop_pass was removed (version 1)"),
    });
  });

  test("has it again in the agent's next life, with no server in reach", async () => {
    const { rig, take, start } = await anAgent();
    await rig.assign({ ...task(), restart: aRestart() });
    await take(1, "hunter2");
    rig.kill();
    rig.serverIsAway = true;
    rig.isLed = false;
    rig.machine.losePower(false);
    rig.machine.boot();
    fs.rmSync(join(directory, anId("t")), { recursive: true });
    await start();
    await rig.pass(30_000);
    const running = [...rig.machine.containers.values()].filter(({ state }) => state === "running");
    expect(running).toHaveLength(1);
    const [made] = fs.readdirSync(directory);
    expect(fs.readFileSync(join(directory, made ?? "", "0"), "utf8")).toBe("hunter2");
  });

  test("loses its files when it ends, and the node its content when nobody needs it", async () => {
    const { rig, take } = await anAgent();
    await rig.assign(task());
    await take(1, "hunter2");
    expect(rig.disk.contents?.size).toBe(1);
    await rig.assign({ ...task(), desired: "shutdown" });
    expect(fs.readdirSync(directory)).toEqual([]);
    expect(rig.disk.contents?.size).toBe(0);
  });

  test("finds a config that is filled in for it", async () => {
    const { rig, take } = await anAgent();
    const config = grant({ kind: "config", name: "web", target: "/web.conf", isTemplate: true }, 2);
    const container = aContainer({
      networkMode: "none",
      grants: [grant(), config],
      environment: { NAME: "{{.Node.Hostname}}" },
    });
    await rig.assign(anAssignment("t", { container, serviceLabels: { zone: "north" } }));
    await take(1, "hunter2");
    await take(2, '{{env "NAME"}} {{index .Service.Labels "zone"}} {{secret "pass"}}');
    expect(fs.readFileSync(join(directory, anId("t"), "1"), "utf8")).toBe("n1 north hunter2");
  });

  test("is rejected when its template can't be filled in", async () => {
    const { rig, take } = await anAgent();
    await rig.assign(
      task([grant({ kind: "config", name: "web", target: "/w", isTemplate: true })]),
    );
    await take(1, '{{secret "other"}}');
    expect(rig.latest.get(anId("t"))).toMatchObject({
      state: "rejected",
      message: expect.stringMatching(/^the template of config web asks for a secret that/),
    });
  });
});

describe("a node's contents", () => {
  test("are sealed on its disk with a key that comes from its own", async () => {
    const { rig, take } = await anAgent();
    await rig.assign(task());
    await take(1, "hunter2");
    const sealed = [...(rig.disk.contents?.values() ?? [])].map((text) =>
      Buffer.from(text, "base64").toString("latin1"),
    );
    expect(sealed.map((text) => text.includes("hunter2"))).toEqual([false]);
  });

  test("that another key sealed are lacked, and sent again", async () => {
    const { rig, take, start } = await anAgent();
    await rig.assign(task());
    await take(1, "hunter2");
    expect(await rig.agent?.lackedContents([ref(1), ref(2)])).toEqual([ref(2)]);
    rig.kill();
    rig.secrets = { key: contentKeyOf(await newKey()), directory: place() };
    await start();
    expect(await rig.agent?.lackedContents([ref(1), ref(2)])).toEqual([ref(1), ref(2)]);
  });

  test("are refused when no task of the node needs them", async () => {
    const { rig } = await anAgent();
    await rig.assign(task());
    const taken = rig.agent?.takeContent(ref(2), bytes("x")).catch((error: unknown) => error);
    expect(await taken).toMatchObject({ code: "conflict", retryable: true });
    expect(rig.disk.contents?.size ?? 0).toBe(0);
  });
});

describe("the files of tasks", () => {
  test("that an earlier life left are swept, and nothing else", async () => {
    const files = new TaskFiles(place());
    const file = { bytes: bytes("x"), uid, gid, mode: 0o400 };
    await files.write(anId("t"), [file, file]);
    await files.write(anId("u"), [file]);
    fs.writeFileSync(join(directory, "README"), "somebody else's");
    files.sweep((taskId) => taskId === anId("u"));
    expect(fs.readdirSync(directory).sort()).toEqual(["README", anId("u")].sort());
  });

  test("are written through no link that somebody put in their place", async () => {
    const victim = join(directory, "victim");
    fs.writeFileSync(victim, "untouched");
    fs.symlinkSync(victim, join(directory, anId("t")));
    const files = new TaskFiles(place());
    await files.write(anId("t"), [{ bytes: bytes("x"), uid, gid, mode: 0o400 }]);
    expect(fs.readFileSync(victim, "utf8")).toBe("untouched");
  });

  const memory = "/dev/shm";
  const hasMemory = fs.existsSync(memory) && isInMemory(memory);
  if (!hasMemory) console.log(`skipped: ${memory} is not in memory here`);
  test.skipIf(!hasMemory)("are below the run directory where that is in memory", async () => {
    const runDir = fs.mkdtempSync(join(memory, "orchd-run-"));
    const place = memoryDirectory(runDir, anId("n1"));
    expect(place.find()).toBeUndefined();
    const path = await place.open();
    expect([path, place.find()]).toEqual([join(runDir, "grants", anId("n1")), path]);
    expect(fs.statSync(path).mode & 0o777).toBe(0o700);
    fs.rmSync(runDir, { recursive: true });
  });
});
