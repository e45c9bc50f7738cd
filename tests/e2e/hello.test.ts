import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { LAB_RUNTIMES } from "../../scripts/lab/lab-containers.ts";
import { hasEnded, signalInside } from "../../scripts/lab/lab.ts";
import { orchd, root } from "../../scripts/project.ts";
import type { Event } from "../../src/model/event.ts";
import type { Explanation, StackSummary, TaskLogLine } from "../../src/model/summary.ts";
import { HELLO, Host } from "../../scripts/lab/host.ts";

const ADDRESS = "http://127.0.0.1:8080/";

describe.each(LAB_RUNTIMES)("the hello stack, from nothing to nothing, with %s", (runtime) => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer(runtime);
  });
  afterAll(async () => host.stop());

  test("the version names the release and the commit", async () => {
    expect(await host.must("version")).toMatch(/^orchd \d+\.\d+\.\d+ \(commit \w+/);
    expect(await host.json<object>("version")).toMatchObject({ api: "v1" });
  });

  test("the server's own machine is a node that is ready", async () => {
    const nodes = await host.json<{ health: string; roles: object }[]>("nodes");
    expect(nodes).toMatchObject([{ health: "ready", roles: { server: true, agent: true } }]);
  });

  test("a loaded image is listed under its name", async () => {
    expect(await host.must("image", "ls")).toContain(HELLO_IMAGE);
  });

  test("a dry run tells the plan and changes nothing", async () => {
    const { code, stdout } = await host.up(HELLO, "--dry-run");
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("web-app") });
    expect(await host.json<StackSummary[]>("ls")).toEqual([]);
  });

  test("up returns when three tasks run", async () => {
    await host.mustUp(HELLO);
    expect(await host.running("hello")).toHaveLength(3);
    const stacks = await host.json<StackSummary[]>("ls");
    expect(stacks).toMatchObject([{ name: "hello", state: "running", tasksReady: 3 }]);
  });

  test("the published port reaches all three tasks", async () => {
    const seen = new Set<string>();
    await host.waitFor("every task has answered", async () => {
      const answer = await host.get(ADDRESS);
      if (answer !== undefined) seen.add(answer);
      return seen.size === 3;
    });
    expect([...seen].every((answer) => answer.startsWith("Hello from "))).toBe(true);
  });

  test("up again changes nothing", async () => {
    const before = await host.containers("hello");
    await host.mustUp(HELLO);
    expect(await host.containers("hello")).toEqual(before);
  });

  test("scale web-app=4 as it is typed adds one task and keeps the others", async () => {
    const before = await host.containers("hello");
    await host.must("scale", "web-app=4");
    await host.waitConverged("hello/web-app");
    const after = await host.containers("hello");
    expect(after).toHaveLength(4);
    expect(after).toEqual(expect.arrayContaining(before));
  });

  test("scale down stops the surplus and keeps the others", async () => {
    const before = await host.containers("hello");
    await host.must("scale", "hello/web-app=2");
    await host.waitConverged("hello/web-app");
    const after = await host.containers("hello");
    expect(after).toHaveLength(2);
    expect(before).toEqual(expect.arrayContaining(after));
  });

  test("exec passes on output and exit code", async () => {
    const [task] = await host.running("hello");
    const name = task?.name ?? "";
    const { code, stdout, stderr } = await host.orchd(
      ...["exec", name, "--", "sh", "-c", "echo out; echo err >&2; exit 7"],
    );
    expect({ code, stdout, stderr }).toEqual({ code: 7, stdout: "out\n", stderr: "err\n" });
  });

  test("exec -i passes on input", async () => {
    const [task] = await host.running("hello");
    const words = ["exec", "-i", task?.name ?? "", "--", "tr", "a-z", "A-Z"];
    const { code, stdout } = await host.orchdWith({ input: "some text\n" }, ...words);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "SOME TEXT\n" });
  });

  test("exec -it has a terminal on both sides, and Ctrl-D ends it", async () => {
    const [task] = await host.running("hello");
    const inner = "test -t 0 && test -t 1 && echo a terminal; stty size; cat; exit 4";
    const command = `${orchd} exec -it ${task?.name ?? ""} -- sh -c '${inner}'`;
    const typed = `stty rows 33 cols 77; exec ${command}`;
    const terminal = host.lab.spawn(["script", "-qec", typed, "/dev/null"]);
    let text = "";
    terminal.stdout?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    await host.waitFor("the size is told", () => text.includes("33 77"));
    terminal.stdin?.write("\u0004");
    await host.waitFor("it has ended", () => hasEnded(terminal));
    expect(text).toContain("a terminal");
    expect(terminal.exitCode).toBe(4);
  });

  test("port-forward leads a port of the machine to one task's own, until Ctrl-C", async () => {
    const forward = host.lab.spawn([orchd, "port-forward", "web-app", "8081:8080", ":9"]);
    let text = "";
    for (const stream of [forward.stdout, forward.stderr]) {
      stream?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    }
    await host.waitFor("both ports are there", () => text.split("\n").length === 3);
    const [line = ""] = text.split("\n");
    expect(line).toMatch(/^Forwarding 127\.0\.0\.1:8081 -> hello\/web-app\.\d:8080$/);
    const answers = [1, 2, 3, 4].map(() => host.get("http://127.0.0.1:8081/"));
    const seen = new Set(await Promise.all(answers));
    expect(seen.size).toBe(1);
    expect([...seen][0]).toStartWith("Hello from ");
    const closed = /127\.0\.0\.1:(\d+) -> \S+:9$/m.exec(text)?.[1] ?? "";
    expect(await host.get(`http://127.0.0.1:${closed}/`)).toBeUndefined();
    await host.waitFor("the reason is told", () => text.includes("port 9 of the task refuses"));
    signalInside(forward, "SIGINT");
    await host.waitFor("it has ended", () => hasEnded(forward));
    expect(forward.exitCode).toBe(0);
  });

  test("logs of a service come from all its tasks, each line with its task", async () => {
    const tasks = await host.running("hello");
    for (const { name } of tasks) {
      await host.must("exec", name, "--", "sh", "-c", `echo this is ${name} > /proc/1/fd/1`);
    }
    const expected = tasks.map(({ name }) => `this is ${name}`).sort();
    await host.waitFor("the lines are there", async () => {
      const text = await host.must("logs", "web-app");
      return expected.every((line) => text.includes(line));
    });
    const lines = (await host.must("logs", "web-app", "--json")).trim().split("\n");
    const parsed = lines.map((line) => JSON.parse(line) as TaskLogLine);
    expect(parsed.map(({ task, text }) => ({ task, text }))).toEqual(
      expect.arrayContaining(tasks.map(({ name }) => ({ task: name, text: `this is ${name}` }))),
    );
  });

  test("logs --tail 1 gives the last line of one task alone", async () => {
    const [task] = await host.running("hello");
    const text = await host.must("logs", "--tail", "1", task?.name ?? "");
    expect(text.trim().split("\n")).toHaveLength(1);
  });

  test("logs --follow goes on with what is printed, and ends with Ctrl-C", async () => {
    const [task] = await host.running("hello");
    const follower = host.lab.spawn([orchd, "logs", "--follow", "--tail", "0", "web-app"]);
    let text = "";
    follower.stdout?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    await host.waitFor("a new line has come", async () => {
      await host.must("exec", task?.name ?? "", "--", "sh", "-c", "echo new > /proc/1/fd/1");
      return text.includes("| new\n");
    });
    signalInside(follower, "SIGINT");
    await host.waitFor("it has ended", () => hasEnded(follower));
    expect(text).toStartWith(`${task?.name} | new\n`);
  });

  test("explain answers for a service, a task and a node", async () => {
    const [task] = await host.running("hello");
    for (const name of ["web-app", task?.name ?? "", task?.node ?? ""]) {
      const explanation = await host.json<Explanation>("explain", name);
      expect(explanation.summary).not.toBe("");
    }
    expect(await host.must("explain", "web-app")).toContain("hello/web-app");
  });

  test("events tell what happened, in order", async () => {
    const lines = (await host.must("events", "--json")).trim().split("\n");
    const events = lines.map((line) => JSON.parse(line) as Event);
    const actions = events.filter(({ kind }) => kind === "task").map(({ action }) => action);
    expect(actions).toContain("running");
    expect(actions.indexOf("assigned")).toBeLessThan(actions.indexOf("running"));
    const versions = events.map(({ version }) => version);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  });

  test("check tells what each property means here", async () => {
    const { code, stdout } = await host.orchd("check", join(root, "compose/hello/compose.yaml"));
    expect(code).toBe(0);
    expect(stdout).toContain("update_config");
  });

  test("restart replaces every task", async () => {
    const before = await host.containers("hello");
    await host.must("restart", "web-app");
    await host.waitConverged("hello/web-app");
    const after = await host.containers("hello");
    expect(after).toHaveLength(2);
    expect(after.filter((container) => before.includes(container))).toEqual([]);
  });

  test("down removes the stack, its containers and its port", async () => {
    await host.must("down", "hello");
    expect(await host.containers("hello")).toEqual([]);
    expect(await host.json<StackSummary[]>("ls")).toEqual([]);
    expect(await host.get(ADDRESS)).toBeUndefined();
    expect(await host.runtime.all()).toEqual([]);
  });

  test("a server that is asked to stop ends with 0 and takes its socket along", async () => {
    expect(await host.endServer("SIGTERM")).toBe(0);
    const { code, stderr } = await host.orchd("ps");
    expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringContaining("server") });
    expect(existsSync(join(host.dataDir, "orchd.sock"))).toBe(false);
  });
});
