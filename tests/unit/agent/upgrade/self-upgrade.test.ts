import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { SelfUpgrade, type ExecutableSource } from "../../../../src/agent/upgrade/self-upgrade.ts";
import { SlotFiles } from "../../../../src/agent/upgrade/slot-files.ts";
import { endTrial } from "../../../../src/core/upgrade/launch.ts";
import { OrchdError } from "../../../../src/lib/errors.ts";
import { silentLog } from "../../../../src/lib/log.ts";
import { until } from "../../../conformance/runtime-until.ts";
import { aDataDir, bytesOf, contentOf, installedHere } from "./rig.ts";

/** As far as anybody asks, orchd 2.0.0. */
const GOOD = `#!/bin/sh\necho '{"version":"2.0.0"}'\n`;
const PLATFORM = "linux/amd64";

function anOrder(script = GOOD) {
  return { id: "u1", ...contentOf(script), withinMs: 60_000 };
}

function aSource(script = GOOD, over: Partial<ExecutableSource> = {}): ExecutableSource {
  return {
    bring: async () => {},
    mark: async () => ({ version: "2.0.0", commit: "c", platform: PLATFORM, protocol: 1 }),
    read: () => bytesOf(script),
    ...over,
  };
}

function anUpgrade(dataDir: string, source = aSource(), trial?: string): SelfUpgrade {
  const upgrade = new SelfUpgrade({ dataDir, log: silentLog, platform: PLATFORM, trial });
  upgrade.useSource(source);
  return upgrade;
}

describe("an executable that is ordered", () => {
  test("is put beside what runs, to be tried, and the role ends for it", async () => {
    using own = aDataDir();
    const upgrade = anUpgrade(own.dataDir);
    expect(upgrade.facts()).toEqual({});
    await upgrade.follow(anOrder());
    const files = new SlotFiles(own.dataDir);
    expect(files.read()).toEqual({
      ...installedHere(),
      a: contentOf(GOOD),
      trial: { id: "u1", slot: "a", withinMs: 60_000, attempts: 0 },
    });
    expect(fs.readFileSync(files.pathOf("a"), "utf8")).toBe(GOOD);
    expect(await upgrade.end).toBe("upgrade");
  });

  const refused: [string, string, Partial<ExecutableSource>, string][] = [
    ["ends with an error", "#!/bin/sh\nexit 1\n", {}, "does not run on this machine"],
    ["is no program", "\u007fELF", {}, "does not run on this machine"],
    ["says another version", GOOD.replace("2.0.0", "2.0.1"), {}, "does not say that it is orchd"],
    ["says nothing", "#!/bin/sh\nexit 0\n", {}, "does not say that it is orchd"],
    [
      "is for another machine",
      GOOD,
      {
        mark: async () => ({ version: "2.0.0", commit: "", platform: "linux/s390x", protocol: 1 }),
      },
      "the executable is for linux/s390x, and this node is linux/amd64",
    ],
    [
      "is another version than was ordered",
      GOOD,
      { mark: async () => ({ version: "1.0.0", commit: "", platform: PLATFORM, protocol: 1 }) },
      "the executable is orchd 1.0.0, and not 2.0.0",
    ],
    ["is cut off", GOOD, { read: () => bytesOf(GOOD.slice(0, -2)) }, "not the executable that was"],
    [
      "can't be had",
      GOOD,
      {
        bring: () => Promise.reject(new OrchdError("unreachable", "no node has it")),
      },
      "no node has it",
    ],
  ];
  test.each(refused)("that %s is refused, and nothing is tried", async (_w, script, over, why) => {
    using own = aDataDir();
    const upgrade = anUpgrade(own.dataDir, aSource(script, over));
    const error: unknown = await upgrade.follow(anOrder(script)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OrchdError);
    expect(String(error)).toContain(why);
    expect(new SlotFiles(own.dataDir).read()).toBeUndefined();
    // The next order finds it as it was.
    upgrade.useSource(aSource());
    await upgrade.follow(anOrder());
  });

  test("waits while another one is under way, and where this process is on trial", async () => {
    using own = aDataDir();
    const came = Promise.withResolvers<void>();
    const upgrade = anUpgrade(own.dataDir, aSource(GOOD, { bring: () => came.promise }));
    const first = upgrade.follow(anOrder());
    const busy = { code: "conflict", retryable: true };
    const refusalOf = (one: SelfUpgrade) => one.follow(anOrder()).catch((e: unknown) => e);
    expect(await refusalOf(upgrade)).toMatchObject(busy);
    came.resolve();
    await first;
    expect(await refusalOf(anUpgrade(own.dataDir, aSource(), "u1"))).toMatchObject(busy);
  });

  test("takes the place of the older of two slots, and the end of its trial is told", async () => {
    using own = aDataDir();
    await anUpgrade(own.dataDir).follow(anOrder());
    const files = new SlotFiles(own.dataDir);
    const tried = files.read();
    if (tried === undefined) throw new Error("it is written down");
    files.write(endTrial(tried, "reverted", "it hung"));
    const upgrade = anUpgrade(own.dataDir);
    expect(upgrade.facts()).toEqual({ last: { id: "u1", outcome: "reverted", reason: "it hung" } });
    files.write(endTrial(tried, "kept"));
    await upgrade.follow({ ...anOrder(), id: "u2" });
    expect(files.read()).toMatchObject({ active: "a", trial: { id: "u2", slot: "b" } });
  });
});

test("a trial says that it is back, by its own name alone", async () => {
  using own = aDataDir();
  const files = new SlotFiles(own.dataDir);
  files.write(installedHere());
  const upgrade = anUpgrade(own.dataDir, aSource(), "u1");
  expect([upgrade.isTrial, upgrade.facts()]).toEqual([true, { isTrial: true }]);
  expect(files.isConfirmed("u1")).toBe(false);
  upgrade.confirm();
  expect([files.isConfirmed("u1"), files.isConfirmed("u2")]).toEqual([true, false]);
});

test("a trial ends when its supervisor was killed", async () => {
  using own = aDataDir();
  const source = join(import.meta.dir, "../../../../src/agent/upgrade/self-upgrade.ts");
  const ended = join(own.dataDir, "ended");
  const trial = `
    const { SelfUpgrade } = await import(${JSON.stringify(source)});
    const log = { info() {}, warn() {}, error() {} };
    const options = { dataDir: ${JSON.stringify(own.dataDir)}, log, platform: "", trial: "u1" };
    const upgrade = new SelfUpgrade(options);
    console.log("runs");
    setInterval(() => {}, 1000);
    require("node:fs").writeFileSync(${JSON.stringify(ended)}, await upgrade.end);
    process.exit();`;
  const child = `[process.execPath, "-e", ${JSON.stringify(trial)}]`;
  const run = `Bun.spawn(${child}, { stdout: "inherit" }); setInterval(() => {}, 1000);`;
  const supervisor = Bun.spawn([process.execPath, "-e", run]);
  for await (const _ of supervisor.stdout) break;
  supervisor.kill("SIGKILL");
  const told = await until(
    "it ends",
    () => fs.existsSync(ended) && (fs.readFileSync(ended, "utf8") || undefined),
  );
  expect(told).toBe("orphaned");
}, 30_000);
