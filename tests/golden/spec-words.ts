import { dependencySchema } from "../../src/model/dependency.ts";
import type { JobPolicy, Schedule } from "../../src/model/job.ts";
import type { ServiceSpec } from "../../src/model/service.ts";
import { aContainer, aPort, aRestart, aSpec, reserving } from "../builders.ts";
import type { RolloutRules, UpdatePolicy } from "../../src/model/rollout.ts";
import { parseWindow } from "../../src/model/window.ts";
import { numberOf, wordOf, type Words } from "./words.ts";

/** A service's spec from `replicas=3 image=web:2 order=start-first parallelism=2 cpu=500 …`. */
export function specOfWords(words: Words): ServiceSpec {
  const limit = words.values.get("max-attempts");
  const port = words.values.get("port");
  const priority = words.values.get("priority");
  const hostPort = words.values.get("host-port");
  const ports = [
    ...(port === undefined ? [] : [aPort({ published: Number(port) })]),
    ...(hostPort === undefined ? [] : [aPort({ published: Number(hostPort), mode: "host" })]),
  ];
  return aSpec({
    mode: wordOf(words, "mode", ["replicated", "global", "replicated-job", "global-job"]),
    replicas: numberOf(words, "replicas", 1),
    container: aContainer({ image: words.values.get("image") ?? `${words.name}:1` }),
    resources: reserving(numberOf(words, "cpu", 0)),
    ...placementOfWords(words),
    ports,
    ...(priority === undefined ? {} : { priority: Number(priority) }),
    restart: aRestart({
      condition: wordOf(words, "restart", ["any", "on-failure", "none"]),
      ...(limit === undefined ? {} : { maxAttempts: Number(limit) }),
    }),
    update: {
      order: wordOf(words, "order", ["stop-first", "start-first"]),
      parallelism: numberOf(words, "parallelism", 1),
      delayMs: numberOf(words, "delay", 0) * 1000,
      ...rulesOfWords(words),
    },
    ...rollbackOfWords(words),
    ...rolloutOfWords(words),
    ...drainOfWords(words),
    ...jobOfWords(words),
    ...dependenciesOfWords(words),
  });
}

/** `on-failure=rollback ratio=50 monitor=10 deadline=60`, the ratio in percent. */
function rulesOfWords(words: Words): Partial<UpdatePolicy> {
  const { values } = words;
  const failureAction = wordOf(words, "on-failure", ["pause", "continue", "rollback"] as const);
  return {
    ...(values.has("on-failure") ? { failureAction } : {}),
    ...(values.has("ratio") ? { maxFailureRatio: numberOf(words, "ratio", 0) / 100 } : {}),
    ...(values.has("monitor") ? { monitorMs: numberOf(words, "monitor", 0) * 1000 } : {}),
    ...(values.has("deadline")
      ? { progressDeadlineMs: numberOf(words, "deadline", 0) * 1000 }
      : {}),
  };
}

/** `back-order=start-first back-at-once=0` */
function rollbackOfWords(words: Words): Pick<ServiceSpec, "rollback"> {
  if (![...words.values.keys()].some((key) => key.startsWith("back-"))) return {};
  const order = wordOf(words, "back-order", ["stop-first", "start-first"]);
  return { rollback: { order, parallelism: numberOf(words, "back-at-once", 1), delayMs: 0 } };
}

/** `zone=north`: the only nodes on which its tasks may be. */
function placementOfWords({ values }: Words): Pick<ServiceSpec, "placement"> | undefined {
  const value = values.get("zone");
  if (value === undefined) return undefined;
  const constraints = [{ key: "node.labels.zone", operator: "==", value } as const];
  return { placement: { constraints, spread: [], maxReplicasPerNode: 0 } };
}

/** `canary=25% promote=auto lock=yes window=Mon_22:00-05:00` */
function rolloutOfWords(words: Words): { rollout?: RolloutRules } {
  const { values } = words;
  const canary = values.get("canary");
  const window = parseWindow(values.get("window")?.replaceAll("_", " ") ?? "");
  const promote = wordOf(words, "promote", ["auto", "manual"] as const);
  const rules: RolloutRules = {
    ...(canary === undefined ? {} : { canary: canaryOf(canary) }),
    ...(values.has("promote") ? { promote } : {}),
    ...(values.has("lock") ? { lock: true } : {}),
    ...(window === undefined ? {} : { windows: [window] }),
  };
  return Object.keys(rules).length === 0 ? {} : { rollout: rules };
}

/** `drain-order=start-first drain-at-once=1` */
function drainOfWords(words: Words): Pick<ServiceSpec, "drain"> {
  const { values } = words;
  const order = wordOf(words, "drain-order", ["stop-first", "start-first"] as const);
  const drain = {
    ...(values.has("drain-order") ? { order } : {}),
    ...(values.has("drain-at-once") ? { parallelism: numberOf(words, "drain-at-once", 0) } : {}),
  };
  return Object.keys(drain).length === 0 ? {} : { drain };
}

function canaryOf(text: string): NonNullable<RolloutRules["canary"]> {
  const amount = Number(text.replace("%", ""));
  return { amount, unit: text.endsWith("%") ? "percent" : "tasks" };
}

/** `at-once=2 retries=3 job-deadline=60 cron=5_*_*_*_* overlap=skip missed=once history=2` */
function jobOfWords(words: Words): Pick<ServiceSpec, "job" | "schedule"> {
  const { values } = words;
  const job: JobPolicy = {};
  if (values.has("at-once")) job.parallelism = numberOf(words, "at-once", 1);
  if (values.has("retries")) job.retries = numberOf(words, "retries", 0);
  if (values.has("job-deadline")) job.deadlineMs = numberOf(words, "job-deadline", 0) * 1000;
  const cron = values.get("cron")?.replaceAll("_", " ");
  const late = values.has("late") ? { deadlineMs: numberOf(words, "late", 0) * 1000 } : {};
  const schedule: Schedule | undefined =
    cron === undefined
      ? undefined
      : {
          cron,
          timeZone: "UTC",
          overlap: wordOf(words, "overlap", ["skip", "allow", "replace"]),
          missed: wordOf(words, "missed", ["once", "skip", "all"]),
          history: numberOf(words, "history", 1),
          ...late,
        };
  return {
    ...(Object.keys(job).length === 0 ? {} : { job }),
    ...(schedule === undefined ? {} : { schedule }),
  };
}

/** `needs=db:healthy,migrate:completed:optional:restart` */
function dependenciesOfWords({ values }: Words): Pick<ServiceSpec, "dependsOn"> {
  const text = values.get("needs");
  if (text === undefined) return {};
  const dependsOn = text.split(",").map((item) => {
    const [service = "", condition, ...flags] = item.split(":");
    return dependencySchema.parse({
      service,
      condition: condition ?? "started",
      restart: flags.includes("restart"),
      required: !flags.includes("optional"),
    });
  });
  return { dependsOn };
}
