import { planApply, type ApplyPlan } from "../../../src/core/reconcile/apply.ts";
import { changesOf, type Action, type Plan } from "../../../src/core/reconcile/plan.ts";
import { orderRollout } from "../../../src/core/reconcile/rollout-orders.ts";
import { Patience } from "../../../src/core/reconcile/rollout-patience.ts";
import { runByHand } from "../../../src/core/reconcile/cron.ts";
import { countRun } from "../../../src/core/reconcile/job.ts";
import { isConverged, planService } from "../../../src/core/reconcile/service.ts";
import { planStackUndo } from "../../../src/core/reconcile/stack-undo.ts";
import { planStack } from "../../../src/core/reconcile/stack.ts";
import { planPreemption } from "../../../src/core/scheduler/preempt.ts";
import { schedule } from "../../../src/core/scheduler/schedule.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { put, type Change } from "../../../src/model/change.ts";
import { eventOf } from "../../../src/model/event.ts";
import { revise } from "../../../src/model/revise.ts";
import { specOf, type Service, type ServiceSpec } from "../../../src/model/service.ts";
import {
  isLive,
  isTerminal,
  withReadiness,
  withStatus,
  type Task,
  type TaskState,
} from "../../../src/model/task.ts";
import { MemoryView } from "../../../src/model/view.ts";
import { aNode, aStatus, anId } from "../../builders.ts";
import { formatRollout, formatTasks, shortId } from "../../plan-text.ts";
import { specOfWords } from "../spec-words.ts";
import { HEALTHS, numberOf, parseWords, wordOf, type Words } from "../words.ts";

const ROUNDS_MAX = 100;

/** A cluster that is led by commands, one stack `shop` in it; what happens is written down. */
export class Session {
  readonly #view = new MemoryView();
  readonly #random = seededRandom("session");
  readonly #names = new Map<string, string>();
  readonly #file = new Map<string, ServiceSpec>();
  readonly #patience = new Patience();
  #now = 0;
  #lines: string[] = [];

  /** Carries out one command; answers what happened. */
  run(command: string): string[] {
    this.#lines = [];
    const [verb = "", ...rest] = command.trim().split(" ");
    const words = parseWords(rest.join(" ") || "none");
    const act = this.#verbs.get(verb);
    if (act === undefined) throw new Error(`there is no command "${verb}"`);
    act(words);
    return this.#lines;
  }

  readonly #verbs = new Map<string, (words: Words) => void>([
    ["node", (words) => this.#node(words)],
    ["file", (words) => void this.#file.set(words.name, specOfWords(words))],
    ["unfile", (words) => void this.#file.delete(words.name)],
    ["up", (words) => this.#up(words.name === "prune")],
    ["rollout", (words) => this.#rollout(words)],
    ["undo-stack", (words) => this.#undoStack(words)],
    ["scale", (words) => this.#revise(words.name, { replicas: numberOf(words, "to", 1) })],
    ["restart", (words) => this.#restart(words.name)],
    ["run", (words) => this.#runByHand(words.name)],
    ["down", () => this.#down()],
    ["decide", () => void this.#decide()],
    ["work", () => void this.#work()],
    ["settle", () => this.#settle()],
    ["wait", (words) => void (this.#now += Number(words.name.replace(/s$/, "")) * 1000)],
    ["task", (words) => this.#task(words)],
    ["show", () => this.#show()],
  ]);

  #node(words: Words): void {
    const version = this.#view.nodes.get(anId(words.name))?.version ?? 0;
    const availability = wordOf(words, "availability", ["active", "pause", "drain"]);
    const cpuMillis = numberOf(words, "cpu", 4000);
    const resources = { cpuMillis, memoryBytes: 2 ** 32 };
    const zone = words.values.get("zone");
    const labels: Record<string, string> = zone === undefined ? {} : { zone };
    this.#commit([put.node(aNode(words.name, { availability, resources, labels, version }))]);
  }

  #up(prune: boolean): void {
    const spec = { services: Object.fromEntries(this.#file), volumes: [] };
    const options = { prune, now: this.#now, random: this.#random.split("up") };
    this.#tell(planApply(this.#view, "shop", spec, options));
  }

  /** `undo-stack now to=2` */
  #undoStack(words: Words): void {
    const stack = this.#view.stacks.get("shop");
    if (stack === undefined) throw new Error("there is no stack");
    const id = words.values.has("to") ? numberOf(words, "to", 0) : undefined;
    this.#tell(planStackUndo(this.#view, stack, id, this.#now));
  }

  #tell(plan: ApplyPlan): void {
    for (const { action, service, detail } of plan.lines) {
      this.#say(`${action} ${service} ${detail}`.trimEnd());
    }
    for (const orphan of plan.orphans) this.#say(`orphan ${orphan}`);
    for (const problem of plan.problems) this.#say(`refused: ${problem}`);
    this.#commit(plan.changes);
  }

  #revise(name: string, over: Partial<ServiceSpec>): void {
    const service = this.#service(name);
    this.#commit([
      put.service(
        revise(service, { ...specOf(service), ...over }, this.#now, this.#view.tasksOf(service.id)),
      ),
    ]);
  }

  /** `rollout web order=undo to=2` */
  #rollout(words: Words): void {
    const type = wordOf(words, "order", ["pause", "resume", "promote", "undo"]);
    const to = words.values.has("to") ? numberOf(words, "to", 0) : undefined;
    const unlock = words.values.get("unlock") === "yes";
    const order = { type, unlock, to };
    const result = orderRollout(this.#view, this.#service(words.name), order, this.#now);
    if ("problem" in result) return this.#say(`refused: ${result.problem}`);
    this.#commit([put.service(result.service)]);
  }

  #restart(name: string): void {
    this.#revise(name, { restarts: specOf(this.#service(name)).restarts + 1 });
  }

  #runByHand(name: string): void {
    const asked = runByHand(this.#service(name), this.#now);
    if ("problem" in asked) this.#say(`refused: ${asked.problem}`);
    else this.#commit([put.service({ ...this.#service(name), runs: asked.runs })]);
  }

  #down(): void {
    const stack = this.#view.stacks.get("shop");
    const services = this.#view.servicesOf("shop");
    this.#commit([
      ...(stack === undefined ? [] : [put.stack({ ...stack, removing: true })]),
      ...services.map((service) => put.service({ ...service, removing: true })),
    ]);
  }

  /** Every service is planned once, then everything that waits is placed; answers the commits. */
  #decide(): number {
    let commits = 0;
    for (const id of [...this.#view.services.keys()]) {
      const stalledMs = this.#patience.look(this.#view, id, this.#now);
      const random = this.#random.split(id);
      commits += this.#carryOut(planService(this.#view, id, this.#now, random, stalledMs));
    }
    for (const name of [...this.#view.stacks.keys()]) {
      commits += this.#carryOut(planStack(this.#view, name));
    }
    const pending = [...this.#view.tasks.values()].filter(
      (t) => t.state === "pending" && isLive(t),
    );
    const result = schedule(this.#view, pending, this.#random.split("place"));
    const { placements, unplaced } = result;
    const { evictions, waits } = planPreemption(this.#view, result, 10);
    const stops = evictions.map((one): Action => ({ type: "stopTask", ...one }));
    const changes = pending.flatMap((task): Change[] => {
      const placed = placements.find(({ taskId }) => taskId === task.id);
      const since = this.#now;
      if (placed !== undefined) {
        const { nodeId } = placed;
        return [put.task({ ...task, nodeId, state: "assigned", since, message: "" })];
      }
      const reason = unplaced.find(({ taskId }) => taskId === task.id)?.message ?? "";
      const message = waits.get(task.id) ?? reason;
      return message === task.message ? [] : [put.task({ ...task, message })];
    });
    return commits + this.#commit([...changes, ...changesOf(this.#view, stops, this.#now)]);
  }

  /** Every agent brings its tasks to where they should be; answers the commits. */
  #work(): number {
    const changes = [...this.#view.tasks.values()].flatMap((task): Change[] => {
      if (task.nodeId === undefined) return [];
      const state = workOn(task);
      return state === undefined ? [] : [put.task(this.#reported(task, state, {}))];
    });
    return this.#commit(changes);
  }

  /** Decides and works until nothing changes any more. */
  #settle(): void {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      if (this.#decide() + this.#work() === 0) return;
    }
    throw new Error("the session never settles");
  }

  /** What the agent of a live task says: `task web.1 state=failed message=exited-with-code-1`. */
  #task(words: Words): void {
    const [service, slot] = words.name.split(".");
    const task = [...this.#view.tasks.values()].findLast(
      (t) => t.service === service && t.slot === slot && isLive(t),
    );
    if (task === undefined) throw new Error(`there is no live task ${words.name}`);
    const state = wordOf<TaskState>(words, "state", ["running", "failed", "complete", "rejected"]);
    const message = (words.values.get("message") ?? "").replaceAll("-", " ");
    const health = wordOf(words, "health", HEALTHS);
    this.#commit([put.task(this.#reported(task, state, { message, health }))]);
  }

  #show(): void {
    for (const line of formatTasks(this.#view, (id) => this.#names.get(id) ?? shortId(id))) {
      this.#say(line);
    }
    for (const service of this.#view.services.values()) {
      const state = isConverged(this.#view, service) ? "has converged" : "has not converged";
      this.#say(`${service.name} ${state}`);
      const { rollout, revisions } = service;
      if (rollout !== undefined) this.#say(formatRollout(rollout, revisions));
      for (const run of service.runs?.list ?? []) {
        const { wanted, completed, failures } = countRun(this.#view, service, run);
        const count = `${completed} of ${wanted} complete, ${failures} failures`;
        this.#say(
          `  run ${run.run} ${run.result ?? "under way"}: ${count} ${run.message}`.trimEnd(),
        );
      }
    }
  }

  #reported(task: Task, state: TaskState, over: Partial<Task>): Task {
    const now = this.#now;
    const status = aStatus("", { state, since: now, ...over });
    if (state === "running" && task.startedAt === undefined) status.startedAt = now;
    if (isTerminal(state)) status.finishedAt = now;
    return withReadiness(withStatus(task, { ...status, taskId: task.id }), now);
  }

  #carryOut(plan: Plan): number {
    if (plan.wakeAt !== undefined && plan.actions.length === 0) {
      this.#sayOnce(`next look at ${plan.wakeAt / 1000}s`);
    }
    return this.#commit(changesOf(this.#view, plan.actions, this.#now));
  }

  /** Writes, and tells what people would hear of it; answers the number of writes. */
  #commit(changes: readonly Change[]): number {
    const conflict = this.#view.conflictIn(changes);
    if (conflict !== undefined) throw new Error("the session planned on an old object");
    for (const applied of this.#view.apply(changes, this.#view.version + 1)) {
      if (applied.kind === "task" && applied.before === undefined) {
        this.#names.set(applied.after?.id ?? "", `t${this.#names.size + 1}`);
      }
      const event = eventOf(applied, this.#now, this.#view.version);
      if (event === undefined) continue;
      const id = this.#names.get(event.id);
      const what = [event.name, id === undefined ? "" : `(${id})`, event.action, event.message];
      this.#say(what.filter((word) => word !== "").join(" "));
    }
    return changes.length;
  }

  #service(name: string): Service {
    const service = this.#view.serviceNamed("shop", name);
    if (service === undefined) throw new Error(`there is no service ${name}`);
    return service;
  }

  #say(text: string): void {
    this.#lines.push(`${String(this.#now / 1000).padStart(6)}s  ${text}`);
  }

  #sayOnce(text: string): void {
    if (!this.#lines.some((line) => line.endsWith(text))) this.#say(text);
  }
}

/** The state that a task reaches when everything works; nothing when it is there. */
function workOn(task: Task): TaskState | undefined {
  if (task.desired === "removed") return task.state === "removed" ? undefined : "removed";
  if (isTerminal(task.state)) return undefined;
  if (task.desired === "shutdown") return "shutdown";
  const wanted = task.desired === "prepared" ? "prepared" : "running";
  return task.state === wanted ? undefined : wanted;
}
