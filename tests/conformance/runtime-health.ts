import { afterAll, afterEach, beforeAll, expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeHelloImage } from "../../scripts/image.ts";
import type { Assignment } from "../../src/model/assignment.ts";
import type { ContainerSpec } from "../../src/model/container.ts";
import type { TaskId } from "../../src/model/ids.ts";
import type { CommandResult } from "../../src/runtime/driver.ts";
import type { SpecLab } from "./runtime-spec.ts";
import { type Cannot, type Case, casesOf } from "./runtime-cases.ts";
import { aTask } from "./runtime-task.ts";
import { failureOf, until } from "./runtime-until.ts";

const TIMEOUT_MS = 60_000;
const CHECKED_IMAGE = "localhost/orchd-conformance-checked:1";

/** A lab that knows what its runtime would do about an image's health check, which is nothing. */
export interface HealthLab extends SpecLab {
  /** Takes an archive of an image. */
  load(path: string): Promise<unknown>;
  /** What the runtime itself keeps of it. */
  ownHealthcheck?(taskId: TaskId): Promise<string>;
  /** The program that waits for containers and commands, by its name. */
  monitor: string;
}

export interface HealthTools {
  lab: () => HealthLab;
  /** A running container, which is removed after the test. */
  start: (change?: Partial<ContainerSpec>, image?: string) => Promise<TaskId>;
  startTask: (assignment: Assignment) => Promise<TaskId>;
  run: (taskId: TaskId, command: string, signal?: AbortSignal) => Promise<CommandResult>;
  test: Case;
}

/** What a driver does for health checks. */
export function healthConformance(
  name: string,
  makeLab: () => Promise<HealthLab>,
  cannot: Cannot = {},
): void {
  let current: HealthLab | undefined;
  const made: TaskId[] = [];
  const lab = () => {
    if (current === undefined) throw new Error("the runtime to test could not be set up");
    return current;
  };

  beforeAll(async () => {
    current = await makeLab();
    await current.runtime.ensureNetwork(current.network);
  }, TIMEOUT_MS);

  afterEach(async () => {
    for (const taskId of made.splice(0)) await lab().runtime.remove(taskId);
  }, TIMEOUT_MS);

  afterAll(async () => {
    await current?.close();
  }, TIMEOUT_MS);

  const start: HealthTools["start"] = (change = {}, image = lab().image) =>
    startTask(aTask(image, {}, change));
  const startTask: HealthTools["startTask"] = async (assignment) => {
    await lab().runtime.create({ assignment });
    made.push(assignment.taskId);
    await lab().runtime.start(assignment.taskId);
    return assignment.taskId;
  };
  const run: HealthTools["run"] = (taskId, command, signal = AbortSignal.timeout(20_000)) => {
    const options = { signal, outputBytesMax: 4096 };
    return lab().runtime.run(taskId, ["/bin/sh", "-c", command], options);
  };
  healthCases({ lab, start, startTask, run, test: casesOf(name, cannot) });
}

/** Registers every case. */
export function healthCases(tools: HealthTools): void {
  commandCases(tools);
  endingCases(tools);
  imageCases(tools);
}

function commandCases({ lab, start, run, test }: HealthTools): void {
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
    const { output } = await lab().runtime.run(taskId, words, options);
    expect(output).toBe('--user $HOME a b " ;id');
  });

  test("a command that the image lacks is told of in one sentence", async () => {
    const taskId = await start();
    const options = { signal: AbortSignal.timeout(20_000), outputBytesMax: 4096 };
    const { end, output } = await lab().runtime.run(taskId, ["no-such-curl", "-f"], options);
    expect({ end, output }).toEqual({
      end: "notStarted",
      output: expect.stringMatching(
        /^the command "no-such-curl" was not found (?:in the image|on the node)$/,
      ),
    });
  });
}

function endingCases({ lab, start, startTask, run, test }: HealthTools): void {
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
    const taskId = await startTask({ ...aTask(lab().image), resources });
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

  for (const output of ["", " >/dev/null 2>&1"]) {
    const kept = output === "" ? "with its output" : "with none";
    test(`one that leaves a daemon of a session of its own, ${kept}, leaves nothing`, async () => {
      const taskId = await start();
      const daemon = `setsid sh -c "setsid sleep 1105 & sleep 1105"${output} & exit 0`;
      const { end, exitCode } = await run(taskId, daemon);
      expect({ end, exitCode }).toEqual({ end: "exited", exitCode: 0 });
      await until("nothing of it is left", () => processes("1105") === 0);
      const hang = `setsid sh -c "setsid sleep 1105 & sleep 1105"${output} & sleep 1106`;
      expect((await run(taskId, hang, AbortSignal.timeout(700))).end).toBe("timedOut");
      await until("nothing of it is left", () => processes("1105") + processes("1106") === 0);
      expect((await run(taskId, "echo well")).output).toBe("well\n");
    });
  }

  test("one that prints for ever is ended, and of what it printed the end is kept", async () => {
    const taskId = await start();
    const { end, output } = await run(taskId, "while :; do echo 0123456789; done");
    expect(end).toBe("flooded");
    expect(output.length).toBe(4096);
  });

  test("a container that does not run fails nobody's check", async () => {
    const taskId = await start();
    await lab().runtime.stop(taskId, 0);
    const error = await failureOf(run(taskId, "true"));
    expect(error.code).toBe("runtime");
    await lab().runtime.remove(taskId);
    expect((await failureOf(run(taskId, "true"))).code).toBe("notFound");
  });
}

function imageCases({ lab, start, run, test }: HealthTools): void {
  test("nobody is left with anything of it", async () => {
    const taskId = await start();
    const monitors = () => processes(lab().monitor, lab().dir);
    const before = monitors();
    for (let i = 0; i < 5; i++) await run(taskId, "true");
    expect(monitors()).toBe(before);
    expect(readdirSync(lab().dir, { recursive: true }).filter(isPidFile)).toEqual([]);
  });

  test("what an image says of its health is found, and the runtime leaves it", async () => {
    const path = join(lab().dir, "checked.tar");
    const Healthcheck = {
      Test: ["CMD-SHELL", "test -f /ready"],
      Interval: 15e9,
      Timeout: 2e9,
      StartPeriod: 60e9,
      Retries: 5,
    };
    writeHelloImage(path, CHECKED_IMAGE, { Healthcheck });
    await lab().load(path);
    const taskId = await start({}, CHECKED_IMAGE);
    expect(await lab().runtime.imageHealthcheck(taskId)).toEqual({
      disabled: false,
      check: { type: "exec", command: ["/bin/sh", "-c", "test -f /ready"] },
      intervalMs: 15_000,
      timeoutMs: 2000,
      startPeriodMs: 60_000,
      failures: 5,
    });
    expect((await lab().ownHealthcheck?.(taskId)) ?? "NONE").toContain("NONE");
    expect(await lab().runtime.imageHealthcheck(await start())).toBeUndefined();
  });
}

/** Processes of the machine that have this among their words, and that somewhere in them. */
function processes(word: string, part = ""): number {
  return readdirSync("/proc").filter((entry) => {
    try {
      return /^\d+$/.test(entry) && isOne(entry, word, part);
    } catch {
      // It has ended meanwhile.
      return false;
    }
  }).length;
}

function isPidFile(path: string | Buffer): boolean {
  return /command-.*\.pid$/.test(String(path));
}

function isOne(pid: string, word: string, part: string): boolean {
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  const names = words.map((path) => path.split("/").at(-1) ?? "");
  return names.includes(word) && words.some((text) => text.includes(part));
}
