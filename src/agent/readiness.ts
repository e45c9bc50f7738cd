import type { Clock, Timer } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { cleanOutput, OUTPUT_BYTES_MAX } from "../core/probe/clean-output.ts";
import type { CheckResult } from "../core/probe/probe-state.ts";
import type { HealthNews } from "../core/probe/task-probes.ts";
import { awaitedPorts } from "../core/task/step.ts";
import type { Assignment } from "../model/assignment.ts";
import type { TaskId } from "../model/ids.ts";
import {
  asksImage,
  effectiveProbes,
  gatesTraffic,
  type Check,
  type Healthcheck,
} from "../model/probe.ts";
import type { TaskStatus } from "../model/task.ts";
import { checkAt } from "../net/checks/check.ts";
import { takesConnections } from "../net/probe.ts";
import type { Runtime } from "../runtime/driver.ts";
import type { Containers } from "./containers.ts";
import { FirstAnswer } from "./first-answer.ts";
import { forwardTarget } from "./forward-target.ts";
import { Prober } from "./prober.ts";

const LEARN_RETRY_MS = 5000;

export interface ReadinessOptions {
  clock: Clock;
  random: Random;
  runtime: Pick<Runtime, "run" | "answer" | "imageHealthcheck">;
  containers: Containers;
  assignment: (taskId: TaskId) => Assignment | undefined;
  status: (taskId: TaskId) => TaskStatus | undefined;
  /** What nobody is to read in what a task answers. */
  secretsOf: (assignment: Assignment) => string[];
  onNews: (taskId: TaskId, news: HealthNews) => void;
}

/**
 * Whether tasks that run are fit for traffic: by their probes, and where there are none that say
 * so, by whether they take connections on the ports that they publish.
 */
export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #prober: Prober;
  readonly #firstAnswer: FirstAnswer;
  /** What images say, of tasks that it matters for. */
  readonly #learned = new Map<TaskId, Healthcheck | undefined>();
  readonly #retries = new Map<TaskId, Timer>();
  #closed = false;

  constructor(options: ReadinessOptions) {
    const { clock, random, onNews } = options;
    this.#options = options;
    this.#prober = new Prober({
      clock,
      random: random.split("probes"),
      check: (taskId, check, signal) => this.#check(taskId, check, signal),
      isWanted: (taskId) => this.#isWanted(taskId),
      onNews,
    });
    this.#firstAnswer = new FirstAnswer({
      clock,
      takesConnections,
      onAnswer: (taskId) => onNews(taskId, { health: "none", message: "", ending: false }),
    });
  }

  /** Finds out what the image says of a task whose container was made. It never rejects. */
  async learn({ taskId, container }: Assignment): Promise<void> {
    if (!asksImage(container.probes) || this.#learned.has(taskId)) return;
    try {
      this.#learned.set(taskId, await this.#options.runtime.imageHealthcheck(taskId));
    } catch {
      // It is asked for again when the task runs, which waits for the answer.
    }
  }

  /** Whether a task is to be found ready before it gets traffic; so is one that is not known. */
  isHeld(assignment: Assignment): boolean {
    const probes = this.#probesOf(assignment);
    return probes === undefined || gatesTraffic(probes);
  }

  /**
   * Looks after a task that runs, unless it is looked after already.
   * @param isNew whether it was started just now
   */
  follow(taskId: TaskId, isNew: boolean): void {
    const [assignment, status] = [this.#options.assignment(taskId), this.#options.status(taskId)];
    if (assignment === undefined || status?.state !== "running" || !this.#isWanted(taskId)) return;
    const probes = this.#probesOf(assignment);
    if (probes === undefined) return void this.#followLater(assignment, isNew);
    const { startedAt = status.since, health } = status;
    if (Object.keys(probes).length > 0) {
      const ranMs = Math.max(0, this.#options.clock.now() - startedAt);
      this.#prober.follow(taskId, probes, { ranMs, isNew, health });
    }
    if (health === "starting" && !gatesTraffic(probes)) this.#awaitAnswer(assignment);
  }

  forget(taskId: TaskId): void {
    this.#retries.get(taskId)?.cancel();
    this.#retries.delete(taskId);
    this.#learned.delete(taskId);
    this.#prober.forget(taskId);
    this.#firstAnswer.forget(taskId);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#retries.values()) timer.cancel();
    this.#retries.clear();
    this.#prober.close();
    this.#firstAnswer.close();
  }

  #probesOf({ taskId, container }: Assignment) {
    if (asksImage(container.probes) && !this.#learned.has(taskId)) return undefined;
    return effectiveProbes(container.probes, this.#learned.get(taskId));
  }

  async #followLater(assignment: Assignment, isNew: boolean): Promise<void> {
    const { taskId } = assignment;
    await this.learn(assignment);
    if (this.#closed) return;
    if (this.#learned.has(taskId)) {
      if (this.#isWanted(taskId)) this.follow(taskId, isNew);
      else this.#learned.delete(taskId);
      return;
    }
    this.#retries.get(taskId)?.cancel();
    const again = () => this.follow(taskId, isNew);
    this.#retries.set(taskId, this.#options.clock.after(LEARN_RETRY_MS, again));
  }

  #isWanted(taskId: TaskId): boolean {
    const status = this.#options.status(taskId);
    if (status?.state !== "running" || status.ending === true) return false;
    // Nobody answers in a container that stands still for a while, and that is no fault of its.
    if (status.held !== undefined) return false;
    return this.#options.assignment(taskId)?.desired === "running";
  }

  #awaitAnswer(assignment: Assignment): void {
    const { taskId } = assignment;
    const container = this.#options.containers.get(taskId);
    const ports = container === undefined ? [] : awaitedPorts(assignment, container);
    // With nothing to wait for it answers at once.
    this.#firstAnswer.await(taskId, container?.address ?? "", ports);
  }

  async #check(taskId: TaskId, check: Check, signal: AbortSignal): Promise<CheckResult> {
    const { runtime, assignment, containers } = this.#options;
    const given = assignment(taskId);
    const { ok, output } =
      check.type === "exec"
        ? await this.#runCommand(taskId, check.command, signal)
        : runtime.answer === undefined
          ? await checkAt(forwardTarget(given, containers), check, signal)
          : await runtime.answer(taskId, check);
    // Only what failed is told.
    if (ok || given === undefined) return { ok, output: "" };
    const secrets = this.#options.secretsOf(given);
    return { ok, output: cleanOutput(output, given.container.environment, secrets) };
  }

  async #runCommand(
    taskId: TaskId,
    command: readonly string[],
    signal: AbortSignal,
  ): Promise<CheckResult> {
    const how = { signal, outputBytesMax: OUTPUT_BYTES_MAX };
    const { end, exitCode, output } = await this.#options.runtime.run(taskId, command, how);
    if (end === "flooded") return { ok: false, output: `it prints without end: ${output}` };
    if (end !== "exited") return { ok: false, output };
    return { ok: exitCode === 0, output: output.trim() === "" ? `exit code ${exitCode}` : output };
  }
}
