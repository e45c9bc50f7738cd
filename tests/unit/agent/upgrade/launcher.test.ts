import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { launch, TRIAL_VARIABLE } from "../../../../src/agent/upgrade/launcher.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { silentLog } from "../../../../src/lib/log.ts";
import { aDataDir, aTrial, bytesOf, contentOf, installedHere } from "./rig.ts";

/** Says that it is back, as an agent does once it has a session. */
const COMES_BACK = `#!/bin/sh
printf '%s' "$${TRIAL_VARIABLE}" > "$1/bin/confirmed.new"
mv "$1/bin/confirmed.new" "$1/bin/confirmed"
trap 'echo ended > "$1/ended"; exit 0' TERM
sleep 60 & wait
`;

/** What the launcher does; `become` is told instead of done. */
async function launched(dataDir: string, more: { env?: Record<string, string> } = {}) {
  const became: { path: string; argv: string[]; trial: string | undefined }[] = [];
  const exitCode = await launch({
    dataDir,
    argv0: "orchd",
    words: [dataDir],
    env: { PATH: process.env["PATH"], ...more.env },
    clock: systemClock,
    log: silentLog,
    become: (path, argv, env) => became.push({ path, argv, trial: env[TRIAL_VARIABLE] }),
  });
  return { exitCode, became };
}

describe("a new executable that is tried", () => {
  test("and comes back is ended, kept, and what this process becomes", async () => {
    using own = aDataDir();
    const files = await aTrial(own.dataDir, COMES_BACK);
    const { exitCode, became } = await launched(own.dataDir);
    expect(exitCode).toBeUndefined();
    expect(became).toEqual([
      { path: files.pathOf("a"), argv: ["orchd", own.dataDir], trial: undefined },
    ]);
    expect(fs.existsSync(`${own.dataDir}/ended`)).toBe(true);
    expect(files.read()).toMatchObject({ active: "a", former: "installed" });
    expect(files.read()?.last).toEqual({ id: "u1", outcome: "kept" });
  });

  const failing: [string, string, number, string][] = [
    ["ends at once", "#!/bin/sh\nexit 3\n", 5000, "with exit code 3"],
    ["is killed", "#!/bin/sh\nkill -9 $$\n", 5000, "by SIGKILL"],
    ["hangs, and can't be asked to end", "#!/bin/sh\ntrap '' TERM\nexec sleep 99\n", 1000, "1 s"],
    ["is no program at all", "\u007fELF and nothing else", 5000, "it can't be run"],
    ["says that another trial is back", COMES_BACK.replace('"$ORCHD', '"x$ORCHD'), 1000, "1 s"],
  ];
  test.each(failing)(
    "and %s is given up",
    async (_what, script, withinMs, reason) => {
      using own = aDataDir();
      const files = await aTrial(own.dataDir, script, withinMs);
      const { became, exitCode } = await launched(own.dataDir);
      // This one runs, which is the installed one.
      expect([became, exitCode]).toEqual([[], undefined]);
      expect(files.read()).toMatchObject({ active: "installed", last: { outcome: "reverted" } });
      expect(files.read()?.last?.reason).toContain(reason);
      expect(files.read()?.trial).toBeUndefined();
    },
    30_000,
  );

  test("is not run when a byte of it was changed on the disk", async () => {
    using own = aDataDir();
    const files = await aTrial(own.dataDir, "#!/bin/sh\necho ran > $1/ran\n");
    fs.writeFileSync(files.pathOf("a"), "#!/bin/sh\necho run > $1/ran\n");
    await launched(own.dataDir);
    expect(files.read()?.last?.reason).toContain("altered");
    expect(fs.existsSync(`${own.dataDir}/ran`)).toBe(false);
  });

  test("is ended first where an earlier supervisor of it was killed", async () => {
    using own = aDataDir();
    const files = await aTrial(own.dataDir, fs.readFileSync("/bin/sleep"));
    const left = Bun.spawn([files.pathOf("a"), "99"]);
    await launched(own.dataDir);
    expect(await left.exited).not.toBe(0);
  });

  test("is left alone where another process supervises it, and that one goes on", async () => {
    using own = aDataDir();
    const files = await aTrial(own.dataDir, fs.readFileSync("/bin/sleep"));
    const state = files.read();
    const run = `Bun.spawn([${JSON.stringify(files.pathOf("a"))}, "99"]); console.log("runs")`;
    const other = Bun.spawn([process.execPath, "-e", `${run}; setInterval(() => {}, 1000)`]);
    for await (const _ of other.stdout) break;
    expect(await launched(own.dataDir)).toEqual({ exitCode: 1, became: [] });
    expect(files.read()).toEqual(state);
    other.kill("SIGKILL");
    await other.exited;
    // Now it is left over, and the next start ends it.
    await launched(own.dataDir);
    expect(files.read()?.last?.outcome).toBe("reverted");
  });
});

describe("an executable that starts", () => {
  test("runs, and changes nothing, where nothing was upgraded", async () => {
    using own = aDataDir();
    expect(await launched(own.dataDir)).toEqual({ exitCode: undefined, became: [] });
    expect(fs.readdirSync(own.dataDir)).toEqual([]);
  });

  test("runs when what is written down of slots makes no sense", async () => {
    using own = aDataDir();
    await aTrial(own.dataDir, COMES_BACK);
    fs.writeFileSync(`${own.dataDir}/bin/slots.json`, "{");
    expect(await launched(own.dataDir)).toEqual({ exitCode: undefined, became: [] });
  });

  test("runs when people put it in the place of the one that was installed", async () => {
    using own = aDataDir();
    const files = await aTrial(own.dataDir, COMES_BACK);
    const text = "#!/bin/sh\nexit 0\n";
    await files.fill("b", contentOf(text), bytesOf(text));
    const slots = { ...installedHere(), active: "b" as const, b: contentOf(text) };
    files.write(slots);
    expect((await launched(own.dataDir)).became.map(({ path }) => path)).toEqual([
      files.pathOf("b"),
    ]);
    files.write({ ...slots, installed: { ...slots.installed, modifiedAt: 1 } });
    expect((await launched(own.dataDir)).became).toEqual([]);
  });
});
