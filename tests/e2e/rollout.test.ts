import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { HELLO, Host } from "../../scripts/lab/host.ts";
import type { RevisionSummary, RolloutSummary } from "../../src/model/summary.ts";

const ADDRESS = "http://127.0.0.1:8080/";
const SERVICE = "hello/web-app";
const careful = (text: string) =>
  text.replace(
    "order: start-first",
    "order: start-first\n        failure_action: rollback\n        monitor: 2s",
  );
const greeting = (word: string) => careful(HELLO.replace("GREETING: Hello", `GREETING: ${word}`));

describe("a published service that is rolled out behind a client of 50 requests a second", () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer();
    await host.mustUp(greeting("Hello"));
  });
  afterAll(async () => host.stop());

  const rollout = () => host.json<RolloutSummary>("rollout", "status", SERVICE);

  test("loses none on the way to a new revision", async () => {
    const { failed, answered } = await during(host, async () => host.mustUp(greeting("Welcome")));
    expect([failed, answered > 50]).toEqual([0, true]);
    expect(await rollout()).toMatchObject({ state: "completed", from: 1, to: 2, done: 3 });
    expect(await host.get(ADDRESS)).toStartWith("Welcome");
  });

  test("loses none when the new one fails, and is back by itself", async () => {
    const bad = greeting("Welcome").replace(HELLO_IMAGE, "localhost/not-there:9");
    const before = await host.containers("hello");
    const { failed, answered } = await during(host, async () => {
      const { code, stdout, stderr } = await host.up(bad);
      expect(code).toBe(1);
      expect(stdout + stderr).toContain("revision 3 was undone: 1 of 3 slots failed");
      await host.waitFor(
        "it is rolled back",
        async () => (await rollout()).state === "rolled-back",
      );
    });
    expect([failed, answered > 0]).toEqual([0, true]);
    // Those that were never replaced are the same ones still.
    expect(await host.containers("hello")).toEqual(before);
  });

  test("loses none when a person goes back", async () => {
    const { failed, answered } = await during(host, async () => {
      await host.must("rollout", "undo", SERVICE, "--to", "1");
    });
    expect([failed, answered > 50]).toEqual([0, true]);
    expect(await host.get(ADDRESS)).toStartWith("Hello");
    const history = await host.json<RevisionSummary[]>("rollout", "history", SERVICE);
    expect(history.map(({ revision }) => revision)).toEqual([5, 4, 3, 2, 1]);
  });

  test("waits for a person when one of its tasks goes first", async () => {
    const canary = greeting("Careful").replace(
      "deploy:",
      "x-orchd: { rollout: { canary: 1 } }\n    deploy:",
    );
    const { failed } = await during(host, async () => {
      await host.mustUp(canary);
      const answers = await Promise.all(Array.from({ length: 12 }, async () => host.get(ADDRESS)));
      expect(new Set(answers.map((answer) => answer?.split(" ")[0]?.replace(",", "")))).toEqual(
        new Set(["Careful", "Hello"]),
      );
      expect(await rollout()).toMatchObject({ state: "canary", done: 1, canaries: ["1"] });
      await host.must("rollout", "promote", SERVICE);
    });
    expect(failed).toBe(0);
    expect(await rollout()).toMatchObject({ state: "completed", done: 3 });
  });

  test("is back as a whole stack", async () => {
    const { failed } = await during(host, async () => {
      await host.must("rollout", "undo", "--stack", "hello", "--to", "2");
    });
    expect(failed).toBe(0);
    expect(await host.get(ADDRESS)).toStartWith("Welcome");
  });
});

/** As many as make 50 requests a second together on a slow machine. */
const CLIENTS = 3;

/** What became of the requests of a client on the host while something was done. */
async function during(host: Host, act: () => Promise<void>) {
  const stop = host.write("stop-client", "");
  rmSync(stop);
  // Each request is a process of its own, and so is each pause: 20 to 60 ms together.
  const script = [
    "a=0; f=0",
    `while [ ! -e ${stop} ]; do`,
    `  if busybox wget -q -O - ${ADDRESS} >/dev/null; then a=$((a+1)); else f=$((f+1)); fi`,
    "  busybox usleep 14000",
    "done",
    'echo "$a $f"',
  ].join("\n");
  const began = Date.now();
  const clients = Array.from({ length: CLIENTS }, async () =>
    host.lab.run(["busybox", "sh", "-c", script], { timeoutMs: 120_000 }),
  );
  try {
    await act();
  } finally {
    writeFileSync(stop, "");
  }
  const counts = (await Promise.all(clients)).map(({ stdout }) => stdout.split(" ").map(Number));
  const answered = counts.reduce((sum, [many = Number.NaN]) => sum + many, 0);
  const failed = counts.reduce((sum, [, many = Number.NaN]) => sum + many, 0);
  const seconds = (Date.now() - began) / 1000;
  console.log(`${answered} answered, ${failed} failed, ${Math.round(answered / seconds)} a second`);
  return { answered, failed };
}
