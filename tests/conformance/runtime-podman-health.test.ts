import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeHelloImage } from "../../scripts/image.ts";
import type { Assignment } from "../../src/model/assignment.ts";
import type { ContainerSpec } from "../../src/model/container.ts";
import type { TaskId } from "../../src/model/ids.ts";
import { hasPodman, makePodmanLab, type PodmanLab } from "./runtime-podman-lab.ts";
import { aTask } from "./runtime-task.ts";
import { failureOf, until } from "./runtime-until.ts";

const TIMEOUT_MS = 60_000;
const CHECKED_IMAGE = "localhost/orchd-conformance-checked:1";

describe("what Podman's driver does for health checks", () => {
  if (!hasPodman("what Podman's driver does for health checks")) return;
  let lab: PodmanLab;
  const made: TaskId[] = [];

  beforeAll(async () => {
    lab = await makePodmanLab("orchdt4", "10.213.4");
    await lab.runtime.ensureNetwork(lab.network);
  }, TIMEOUT_MS);

  afterEach(async () => {
    for (const taskId of made.splice(0)) await lab.runtime.remove(taskId);
  }, TIMEOUT_MS);

  afterAll(async () => {
    await lab.close();
  }, TIMEOUT_MS);

  async function start(change: Partial<ContainerSpec> = {}, image = lab.image): Promise<TaskId> {
    return startTask(aTask(image, {}, change));
  }

  async function startTask(assignment: Assignment): Promise<TaskId> {
    await lab.runtime.create({ assignment });
    made.push(assignment.taskId);
    await lab.runtime.start(assignment.taskId);
    return assignment.taskId;
  }

  function run(taskId: TaskId, command: string, signal = AbortSignal.timeout(20_000)) {
    const options = { signal, outputBytesMax: 4096 };
    return lab.runtime.run(taskId, ["/bin/sh", "-c", command], options);
  }

  /** Processes that have this among their words. */
  function processes(word: string): number {
    return commandLines().filter((text) => wordsOf(text).includes(word)).length;
  }

  /** Processes by which Podman here watches a container, or a command in it. */
  function monitors(): number {
    const ours = commandLines().filter((text) => text.includes(lab.dir));
    return ours.filter((text) => wordsOf(text)[0] === "conmon").length;
  }

  test("a command has its code and the output of both streams", async () => {
    const taskId = await start();
    const { end, exitCode, output } = await run(taskId, "echo out; echo err >&2; exit 3");
    expect({ end, exitCode }).toEqual({ end: "exited", exitCode: 3 });
    expect(output.split("\n").sort()).toEqual(["", "err", "out"]);
  });

  test("it runs as the container's own process does: user, variables, directory", async () => {
    const taskId = await start({
      user: "1234:1234",
      environment: { PATH: "/bin", ANSWER: "42" },
      workingDir: "/bin",
    });
    const { output } = await run(taskId, 'id -u; pwd; echo "$ANSWER"');
    expect(output).toBe("1234\n/bin\n42\n");
  });

  test("words are given as they are, with nothing in between that reads them", async () => {
    const taskId = await start();
    const options = { signal: AbortSignal.timeout(20_000), outputBytesMax: 4096 };
    const words = ["echo", "-n", "--user", "$HOME", "a b", '"', ";id"];
    const { output } = await lab.runtime.run(taskId, words, options);
    expect(output).toBe('--user $HOME a b " ;id');
  });

  test("a command that the image lacks is told of in one sentence", async () => {
    const taskId = await start();
    const options = { signal: AbortSignal.timeout(20_000), outputBytesMax: 4096 };
    const { end, output } = await lab.runtime.run(taskId, ["curl", "-f"], options);
    expect({ end, output }).toEqual({
      end: "notStarted",
      output: 'the command "curl" was not found in the image',
    });
  });

  test("one that hangs is ended with all that it has started", async () => {
    const taskId = await start();
    const hang = "(sleep 1101 & sleep 1101) & echo begun; sleep 1101";
    const { end, output } = await run(taskId, hang, AbortSignal.timeout(700));
    expect({ end, output }).toEqual({ end: "timedOut", output: "begun\n" });
    await until("nothing of it is left", () => processes("1101") === 0);
  });

  test("one that only goes on starting others is ended with all of them", async () => {
    const reservations = { cpuMillis: 0, memoryBytes: 0 };
    const resources = { limits: { pids: 100 }, reservations };
    const taskId = await startTask({ ...aTask(lab.image), resources });
    const { end, output } = await run(taskId, "while :; do sleep 1104 & echo; done");
    // The limit of the container's processes ends it, as whatever it starts counts there.
    expect({ end, many: output.split("\n").length > 50 }).toEqual({ end: "exited", many: true });
    await until("nothing of it is left", () => processes("1104") === 0);
    expect((await run(taskId, "echo well")).output).toBe("well\n");
  });

  test("one that leaves something in the background ends at once, and so does that", async () => {
    const taskId = await start();
    const { end, exitCode } = await run(taskId, "sleep 1102 & exit 0");
    expect({ end, exitCode }).toEqual({ end: "exited", exitCode: 0 });
    await until("nothing of it is left", () => processes("1102") === 0);
  });

  test("one that prints for ever is ended, and of what it printed the end is kept", async () => {
    const taskId = await start();
    const { end, output } = await run(taskId, "while :; do echo 0123456789; done");
    expect(end).toBe("flooded");
    expect(output.length).toBe(4096);
  });

  test("a container that does not run fails nobody's check", async () => {
    const taskId = await start();
    await lab.runtime.stop(taskId, 0);
    const error = await failureOf(run(taskId, "true"));
    expect(error.code).toBe("runtime");
    await lab.runtime.remove(taskId);
    expect((await failureOf(run(taskId, "true"))).code).toBe("notFound");
  });

  test("neither Podman nor anybody else is left with anything of it", async () => {
    const taskId = await start();
    expect(monitors()).toBe(1);
    for (let i = 0; i < 5; i++) await run(taskId, "true");
    expect(monitors()).toBe(1);
    expect(readdirSync(lab.dir).filter((name) => name.endsWith(".pid"))).toEqual([]);
  });

  test("what an image says of its health is found, and Podman is not to act on it", async () => {
    const path = join(lab.dir, "checked.tar");
    const Healthcheck = {
      Test: ["CMD-SHELL", "test -f /ready"],
      Interval: 15e9,
      Timeout: 2e9,
      StartPeriod: 60e9,
      Retries: 5,
    };
    writeHelloImage(path, CHECKED_IMAGE, { Healthcheck });
    await lab.podman("load", "--quiet", "--input", path);
    const taskId = await start({}, CHECKED_IMAGE);
    expect(await lab.runtime.imageHealthcheck(taskId)).toEqual({
      disabled: false,
      check: { type: "exec", command: ["/bin/sh", "-c", "test -f /ready"] },
      intervalMs: 15_000,
      timeoutMs: 2000,
      startPeriodMs: 60_000,
      failures: 5,
    });
    const found = await lab.podman("ps", "--quiet", "--filter", `label=orchd.task=${taskId}`);
    const inspected = await lab.podman("inspect", "--format", "{{.Config.Healthcheck}}", found);
    expect(inspected).toContain("NONE");
    expect(await lab.runtime.imageHealthcheck(await start())).toBeUndefined();
  });
});

/** What every process on the machine was started with; a NUL is behind each word. */
function commandLines(): string[] {
  return readdirSync("/proc").flatMap((entry) => {
    try {
      return /^\d+$/.test(entry) ? [readFileSync(`/proc/${entry}/cmdline`, "utf8")] : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

function wordsOf(commandLine: string): string[] {
  return commandLine.split("\0").map((word) => word.split("/").at(-1) ?? "");
}
