import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { hasEnded, pidInside, signalInside } from "../../scripts/lab/lab.ts";
import { Host } from "../../scripts/lab/host.ts";
import { orchd as executable } from "../../scripts/project.ts";
import type { NodeSummary } from "../../src/model/summary.ts";

describe("an agent as a process that somebody supervises", () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.bare();
    await host.startServer();
  });
  afterAll(async () => host.stop());

  test("has its engine's settings, and is the process that was started, as it was", async () => {
    const words = ["join", "-", "--runtime", "fake", "--name", "second", "--gossip-port", "0"];
    const folders = ["--data-dir", "/var/lib/second", "--run-dir", "/run/second"];
    const agent = host.lab.spawn([executable, ...words, ...folders], { env: { KEPT: "a b" } });
    let log = "";
    agent.stderr?.setEncoding("utf8").on("data", (text: string) => (log += text));
    // It reads the token only when it has become what it is to be.
    agent.stdin?.end(`${await host.token()}@127.0.0.1:6770\n`);
    await host.waitFor("it is a node", async () => {
      if (hasEnded(agent)) throw new Error(`the agent ended: ${log}`);
      const nodes = await host.json<NodeSummary[]>("nodes");
      return nodes.some((node) => node.hostname === "second" && node.health === "ready");
    });
    // The very process that was started, not a child of it.
    const pid = pidInside(agent);
    const proc = (name: string) => readFileSync(`/proc/${pid}/${name}`, "utf8");
    expect(proc("comm")).toBe("orchd\n");
    expect(proc("cmdline").split("\0")).toEqual([executable, ...words, ...folders, ""]);
    const env = proc("environ").split("\0");
    expect(env).toContain("BUN_JSC_useDFGJIT=0");
    expect(env).toContain("KEPT=a b");
    signalInside(agent, "SIGTERM");
    await host.waitFor("it has stopped", () => hasEnded(agent));
    expect(agent.exitCode).toBe(0);
    expect(log).toContain("stopping: SIGTERM");
  });
});
