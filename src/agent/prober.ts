import type { Clock, Timer } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { CheckResult } from "../core/probe/probe-state.ts";
import {
  beginProbes,
  dueRoles,
  withResult,
  withTrouble,
  type HealthNews,
  type TaskProbes,
} from "../core/probe/task-probes.ts";
import type { TaskId } from "../model/ids.ts";
import type { Check, EffectiveProbes, ProbeRole } from "../model/probe.ts";
import type { Health } from "../model/task.ts";
import { Limit } from "./limit.ts";

/** Each is a process on the node. */
const COMMANDS_AT_ONCE = 8;
/** A connection costs little, and one to a task that hangs must not hold up the others. */
const CONNECTIONS_AT_ONCE = 128;
/** For so long whoever was told to give up may take to do so. */
const GIVING_UP_MS = 5000;

export interface ProberOptions {
  clock: Clock;
  random: Random;
  /**
   * Asks a task once, and gives up when told to.
   * @throws OrchdError when it can't be asked, which says nothing of the task
   */
  check(taskId: TaskId, check: Check, signal: AbortSignal): Promise<CheckResult>;
  /** Whether the task runs, and is to. */
  isWanted(taskId: TaskId): boolean;
  onNews(taskId: TaskId, news: HealthNews): void;
}

interface Followed {
  task: TaskProbes;
  /** What is being asked now. */
  readonly busy: Set<ProbeRole>;
  timer: Timer | undefined;
  readonly gone: AbortController;
}

/** Asks tasks for their health when it is time to, and tells when it changes. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #followed = new Map<TaskId, Followed>();
  readonly #commands = new Limit(COMMANDS_AT_ONCE);
  readonly #connections = new Limit(CONNECTIONS_AT_ONCE);

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  /** Begins to ask a task that runs, unless it does so already. */
  follow(
    taskId: TaskId,
    probes: EffectiveProbes,
    how: { ranMs: number; isNew: boolean; health: Health },
  ): void {
    if (this.#followed.has(taskId)) return;
    const { isNew, health } = how;
    const now = this.#now();
    const phase = this.#options.random.next();
    const task = beginProbes(probes, { now, since: now - how.ranMs, phase, isNew, health });
    const gone = new AbortController();
    const followed = { task, busy: new Set<ProbeRole>(), timer: undefined, gone };
    this.#followed.set(taskId, followed);
    this.#schedule(taskId, followed);
  }

  forget(taskId: TaskId): void {
    const followed = this.#followed.get(taskId);
    followed?.timer?.cancel();
    followed?.gone.abort();
    this.#followed.delete(taskId);
  }

  close(): void {
    for (const taskId of this.#followed.keys()) this.forget(taskId);
  }

  #schedule(taskId: TaskId, followed: Followed): void {
    const { clock } = this.#options;
    followed.timer?.cancel();
    followed.timer = undefined;
    const [next] = dueRoles(followed.task, followed.busy);
    if (next === undefined) return;
    const delayMs = Math.max(0, next.at - this.#now());
    followed.timer = clock.after(delayMs, () => this.#askDue(taskId, followed, next.at));
  }

  /** Asks what is due at that time: a timer that is a little early is early enough. */
  #askDue(taskId: TaskId, followed: Followed, until: number): void {
    if (!this.#options.isWanted(taskId)) return this.forget(taskId);
    for (const { role, at } of dueRoles(followed.task, followed.busy)) {
      if (at > until) break;
      followed.busy.add(role);
      void this.#ask(taskId, followed, role);
    }
    this.#schedule(taskId, followed);
  }

  async #ask(taskId: TaskId, followed: Followed, role: ProbeRole): Promise<void> {
    const probe = followed.task.probes[role];
    if (probe === undefined) return;
    const line = probe.check.type === "exec" ? this.#commands : this.#connections;
    let startedAt = this.#now();
    let outcome: { result: CheckResult } | { trouble: unknown };
    try {
      const result = await line.run(() => {
        startedAt = this.#now();
        return this.#checkInTime(taskId, probe.check, probe.timeoutMs, followed.gone.signal);
      });
      outcome = { result };
    } catch (trouble) {
      outcome = { trouble };
    }
    followed.busy.delete(role);
    if (followed.gone.signal.aborted) return;
    if (!this.#options.isWanted(taskId)) return this.forget(taskId);
    const now = this.#now();
    const { task, news } =
      "result" in outcome
        ? withResult(followed.task, role, outcome.result, { startedAt, now })
        : withTrouble(followed.task, role, outcome.trouble, now);
    followed.task = task;
    this.#schedule(taskId, followed);
    if (news !== undefined) this.#options.onNews(taskId, news);
  }

  /** In whole milliseconds of a clock that never jumps: those of machines are set. */
  #now(): number {
    return Math.floor(this.#options.clock.monotonicNow());
  }

  /** Resolves at the latest some seconds after the time is over, whoever is asked. */
  async #checkInTime(
    taskId: TaskId,
    check: Check,
    timeoutMs: number,
    gone: AbortSignal,
  ): Promise<CheckResult> {
    const { clock } = this.#options;
    if (gone.aborted) return { ok: false, output: "" };
    const giveUp = new AbortController();
    const timers: Timer[] = [];
    const onGone = () => giveUp.abort();
    gone.addEventListener("abort", onGone);
    const never = new Promise<CheckResult>((resolve) => {
      const stop = () => resolve({ ok: false, output: "" });
      const onTimeout = () => {
        giveUp.abort();
        timers.push(clock.after(GIVING_UP_MS, stop));
      };
      timers.push(clock.after(timeoutMs, onTimeout));
    });
    try {
      const asked = this.#options.check(taskId, check, giveUp.signal);
      const { ok, output } = await Promise.race([asked, never]);
      if (ok || !giveUp.signal.aborted) return { ok, output };
      const late = `no answer within ${timeoutMs} ms`;
      return { ok, output: output === "" ? late : `${late}: ${output}` };
    } finally {
      gone.removeEventListener("abort", onGone);
      for (const timer of timers) timer.cancel();
    }
  }
}
