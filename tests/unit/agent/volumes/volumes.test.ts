import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { joined } from "../../../../src/core/archive/bytes.ts";
import { OrchdError } from "../../../../src/lib/errors.ts";
import type { VolumeReading } from "../../../../src/model/volume.ts";
import type { Runtime } from "../../../../src/runtime/driver.ts";
import { aContainer, anAssignment, anId, aVolumeMount } from "../../../builders.ts";
import { Rig } from "../rig.ts";

const TASK = anId<"task">("t");
const assignment = (name = "t", volume = "data") =>
  anAssignment(name, {
    container: aContainer({
      image: "steady:1",
      networkMode: "none",
      stopGraceMs: 500,
      mounts: [aVolumeMount(volume)],
    }),
  });

let dir: string;
let rig: Rig;
const calls: string[] = [];
let startFails = false;

/** The simulated runtime, with one volume whose files are real and containers that start again. */
function withVolume(runtime: Runtime): Runtime {
  const over: Partial<Runtime> = {
    volumes: async () => [
      { name: "data", driver: "local", labels: {}, createdAt: 0, isOurs: true },
    ],
    volumePath: async () => dir,
    freeze: async () => void calls.push("freeze"),
    thaw: async () => void calls.push("thaw"),
    async start(taskId) {
      const container = rig.machine.containers.get(taskId);
      if (container?.state !== "exited") return runtime.start(taskId);
      if (startFails) throw new OrchdError("runtime", "it does not start");
      calls.push("start again");
      container.state = "running";
    },
  };
  return new Proxy(runtime, {
    get(target, key) {
      const own: unknown = Reflect.get(over, key);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

beforeEach(async () => {
  dir = fs.mkdtempSync(join(tmpdir(), "orchd-volumes-"));
  fs.writeFileSync(join(dir, "file"), "content");
  calls.length = 0;
  startFails = false;
  rig = new Rig();
  await rig.start(withVolume);
  await rig.assign(assignment());
});
afterEach(() => {
  rig.kill();
  fs.rmSync(dir, { recursive: true });
});

function volumes() {
  const { agent } = rig;
  if (agent === undefined) throw new Error("no agent was started");
  return agent.volumes;
}

/** Waits in virtual time. */
async function within<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  await rig.pass(3000);
  return promise;
}

/** Files are real, and so is the time that they take; the agent's own passes beside it. */
async function really<T>(promise: Promise<T>): Promise<T> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  const aTurn = () => new Promise<false>((turn) => setImmediate(() => turn(false)));
  while (!(await Promise.race([settled, aTurn()]))) await rig.pass(100);
  return promise;
}

async function collect(reading: VolumeReading): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const bytes of reading.pieces) parts.push(bytes.slice());
  await within(reading.close());
  return joined(parts);
}

async function* archive(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const status = () => rig.latest.get(TASK);

describe("a volume that is read while its task stands still", () => {
  test("is read from a task that is frozen, and goes on as the same task", async () => {
    const reading = await within(volumes().read("data", "freeze"));
    expect(calls).toEqual(["freeze"]);
    expect(status()).toMatchObject({ state: "running", health: "starting", held: "frozen" });
    expect(status()?.message).toContain("its volume data is being read");
    await collect(reading);
    expect(calls).toEqual(["freeze", "thaw"]);
    expect(status()).toMatchObject({ state: "running", health: "none", message: "" });
    expect(status()).not.toHaveProperty("held");
  });

  test("is read from a task that is stopped, and started again in its container", async () => {
    const reading = await within(volumes().read("data", "stop"));
    expect(rig.container("t")?.state).toBe("exited");
    expect(rig.disk.statuses.get(TASK)).toMatchObject({ state: "running", held: "stopped" });
    await collect(reading);
    expect(calls).toEqual(["start again"]);
    expect(rig.container("t")?.state).toBe("running");
    expect(rig.heard.filter((line) => /complete|failed|shutdown/.test(line))).toEqual([]);
  });

  test("goes on as well when nobody reads to the end", async () => {
    const reading = await within(volumes().read("data", "stop"));
    await within(reading.close());
    expect(rig.container("t")?.state).toBe("running");
  });

  test("lets nobody else begin meanwhile", async () => {
    const reading = await within(volumes().read("data", "freeze"));
    expect(volumes().read("data", "stop")).rejects.toThrow("already");
    expect(volumes().read("data", "live")).rejects.toThrow("already");
    await rig.assign(assignment(), assignment("u"));
    expect(rig.container("u")).toBeUndefined();
    await within(reading.close());
    await rig.pass(5000);
    expect(rig.container("u")?.state).toBe("running");
  });

  test("is told to end, and ends, while it stands still", async () => {
    const reading = await within(volumes().read("data", "stop"));
    await rig.assign({ ...assignment(), desired: "shutdown" });
    expect(status()?.state).toBe("shutdown");
    await within(reading.close());
    expect(calls).toEqual([]);
  });

  test("fails where it does not start again, and so is replaced", async () => {
    const reading = await within(volumes().read("data", "stop"));
    startFails = true;
    await within(reading.close());
    expect(status()).toMatchObject({
      state: "failed",
      message: expect.stringContaining("not start"),
    });
  });

  test("goes on when the agent is killed meanwhile", async () => {
    for (const how of ["stop", "freeze"] as const) {
      await within(volumes().read("data", how));
      rig.kill();
      await rig.start(withVolume);
      await rig.pass(3000);
      expect(rig.container("t")?.state).toBe("running");
      expect(rig.disk.statuses.get(TASK)).not.toHaveProperty("held");
    }
    expect(calls).toEqual(["start again", "freeze", "thaw"]);
  });
});

describe("a volume that is called by the slot of its task", () => {
  const [NAME, CALLED] = ["data-1", "data-{{.Task.Slot}}"];
  beforeEach(() => rig.assign(assignment("t", CALLED)));

  test("is read from that task while it is frozen, and written while it is stopped", async () => {
    const reading = await within(volumes().read(NAME, "freeze"));
    expect(calls).toEqual(["freeze"]);
    const saved = await collect(reading);
    const refused = volumes().write(NAME, archive(saved), { stop: false });
    expect(refused).rejects.toThrow("is in use by shop/web.1: add --stop");
    await refused.catch(() => {});
    await really(volumes().write(NAME, archive(saved), { stop: true }));
    expect(calls).toEqual(["freeze", "thaw", "start again"]);
  });

  test("lets no other task of that name begin meanwhile", async () => {
    const reading = await within(volumes().read(NAME, "freeze"));
    await rig.assign(assignment("t", CALLED), assignment("u", CALLED));
    expect(rig.container("u")).toBeUndefined();
    await within(reading.close());
    await rig.pass(5000);
    expect(rig.container("u")?.state).toBe("running");
  });

  test("is backed up by its node under that name", async () => {
    const kept = fs.mkdtempSync(join(tmpdir(), "orchd-kept-"));
    rig.kill();
    rig.dataDir = kept;
    await rig.start(withVolume);
    const backup = { volume: CALLED, cron: "* * * * *", timeZone: "UTC", keep: 1 };
    await rig.assign({ ...assignment("t", CALLED), backups: [{ ...backup, how: "live" }] });
    const deadline = performance.now() + 4000;
    while (rig.happenings.length === 0 && performance.now() < deadline) {
      await really(rig.pass(10_000));
    }
    expect(rig.happenings[0]).toMatchObject({ action: "backup", name: NAME });
    expect(fs.readdirSync(join(kept, "volume-backups"))).toEqual([NAME]);
    fs.rmSync(kept, { recursive: true });
  });

  test("is not removed while that task is there", async () => {
    const removal = rig.agent?.removeVolumes([NAME]);
    expect(removal).rejects.toThrow("may still be in use");
    await removal?.catch(() => {});
  });
});

describe("a volume that is held while it moves", () => {
  test("lets its task go on when the move was given up", async () => {
    const hold = await within(volumes().hold("data"));
    expect(rig.container("t")?.state).toBe("exited");
    await within(hold.release());
    expect(rig.container("t")?.state).toBe("running");
  });

  test("does not, when the next set says that it is to end", async () => {
    const hold = await within(volumes().hold("data"));
    await hold.leave(2);
    await rig.assignSet({ generation: 2, assignments: [{ ...assignment(), desired: "removed" }] });
    expect([rig.container("t"), calls]).toEqual([undefined, []]);
  });

  test("waits for the set that counts, and goes on where that says so", async () => {
    const hold = await within(volumes().hold("data"));
    await hold.leave(7);
    await rig.assignSet({ generation: 5, assignments: [assignment()] });
    expect(rig.container("t")?.state).toBe("exited");
    await rig.assignSet({ generation: 7, assignments: [assignment()] });
    expect(rig.container("t")?.state).toBe("running");
  });

  test("goes on after a minute with no word, as when the server is gone for good", async () => {
    const hold = await within(volumes().hold("data"));
    await hold.leave();
    await rig.pass(50_000);
    expect(rig.container("t")?.state).toBe("exited");
    await rig.pass(11_000);
    expect(rig.container("t")?.state).toBe("running");
  });
});

describe("a volume that is written", () => {
  const bytes = async () => collect(await volumes().read("data", "live"));

  test("has what the archive holds, and its task goes on", async () => {
    const saved = await bytes();
    fs.writeFileSync(join(dir, "file"), "other");
    fs.writeFileSync(join(dir, "more"), "other");
    const written = await really(volumes().write("data", archive(saved), { stop: true }));
    expect(written.entries).toBe(2);
    expect(fs.readdirSync(dir)).toEqual(["file"]);
    expect(fs.readFileSync(join(dir, "file"), "utf8")).toBe("content");
    expect(rig.container("t")?.state).toBe("running");
  });

  test("is not removed meanwhile, though no task uses it", async () => {
    const saved = await bytes();
    await rig.assign({ ...assignment(), desired: "removed" });
    const halfWay = Promise.withResolvers<void>();
    const slowly = async function* () {
      yield saved.subarray(0, 512);
      await halfWay.promise;
      yield saved.subarray(512);
    };
    const written = volumes().write("data", slowly(), { stop: false });
    const removal = rig.agent?.removeVolumes(["data"]);
    expect(removal).rejects.toThrow("may still be in use");
    await removal?.catch(() => {});
    halfWay.resolve();
    expect((await really(written)).entries).toBe(2);
  });

  test("is refused while its task runs and is not to be stopped", async () => {
    const saved = await bytes();
    const refused = volumes().write("data", archive(saved), { stop: false });
    expect(refused).rejects.toThrow("is in use by shop/web.1: add --stop");
    await refused.catch(() => {});
  });
});
