import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { Host } from "../../scripts/lab/host.ts";
import { hasEnded, pidInside } from "../../scripts/lab/lab.ts";
import { root } from "../../scripts/project.ts";

const START_TIMEOUT_MS = 55_000;

describe("npm start, from a machine without orchd", () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.bare();
  });
  afterAll(async () => host.stop());

  async function npm(...words: string[]) {
    const options = { workingDir: root, timeoutMs: START_TIMEOUT_MS };
    const { code, stdout, stderr } = await host.lab.run(["npm", ...words], options);
    return { code, text: stdout + stderr };
  }

  test("deploys the hello stack, shows its tasks and an answer, and stops", async () => {
    const { code, text } = await npm("start", "--", "--once");
    expect(text).toContain("says: Hello from ");
    expect(text.match(/hello\/web-app\.\d .*running/g)).toHaveLength(3);
    expect(text).toContain("npm run clean");
    expect(code).toBe(0);
    expect((await host.podman("ps", "--quiet")).split("\n")).toHaveLength(3);
  });

  test("again gives the same stack with the very same containers", async () => {
    const before = await host.containers("hello");
    const { code, text } = await npm("start", "--", "--once");
    expect(text).toContain("says: Hello from ");
    expect(code).toBe(0);
    expect(await host.containers("hello")).toEqual(before);
  });

  test("keeps the server until Ctrl-C; a second one uses the server that runs", async () => {
    const first = host.lab.spawn(["setsid", "npm", "start"], { workingDir: root });
    let text = "";
    first.stdout?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    await host.waitFor("it is through", () => text.includes("Ctrl-C stops the server"));
    const second = await npm("start", "--", "--once");
    expect(second.text).toContain("One is running already");
    expect(second.code).toBe(0);
    const before = await host.containers("hello");
    process.kill(-pidInside(first), "SIGINT");
    await host.waitFor("it has ended", () => hasEnded(first));
    expect(text).toContain("The server has stopped; the containers keep running.");
    expect(await host.containers("hello")).toEqual(before);
    expect((await host.orchd("ps")).code).toBe(3);
  });

  test("npm run clean removes containers, image, network, port rules and data", async () => {
    const { code } = await npm("run", "clean");
    expect(code).toBe(0);
    expect(await host.podman("ps", "--all", "--quiet")).toBe("");
    expect(await host.podman("images", "--quiet")).toBe("");
    expect(await host.podman("network", "ls", "--quiet")).not.toContain("orchd0");
    expect((await host.lab.run(["nft", "list", "tables"])).stdout).not.toContain("orchd");
    expect((await host.lab.run(["ip", "-o", "addr"])).stdout).not.toContain("10.210.");
    expect((await host.lab.run(["ip", "route"])).stdout).not.toContain("10.210.");
    expect(readdirSync(host.dataDir)).toEqual([]);
  });
});
