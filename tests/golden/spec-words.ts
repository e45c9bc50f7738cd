import type { ServiceSpec } from "../../src/model/service.ts";
import { aContainer, aPort, aRestart, aSpec, reserving } from "../builders.ts";
import type { RolloutRules, UpdatePolicy } from "../../src/model/rollout.ts";
import { parseWindow } from "../../src/model/window.ts";
import { numberOf, wordOf, type Words } from "./words.ts";

/** A service's spec from `replicas=3 image=web:2 order=start-first parallelism=2 cpu=500 …`. */
export function specOfWords(words: Words): ServiceSpec {
  const limit = words.values.get("max-attempts");
  const port = words.values.get("port");
  const hostPort = words.values.get("host-port");
  const ports = [
    ...(port === undefined ? [] : [aPort({ published: Number(port) })]),
    ...(hostPort === undefined ? [] : [aPort({ published: Number(hostPort), mode: "host" })]),
  ];
  return aSpec({
    mode: wordOf(words, "mode", ["replicated", "global"]),
    replicas: numberOf(words, "replicas", 1),
    container: aContainer({ image: words.values.get("image") ?? `${words.name}:1` }),
    resources: reserving(numberOf(words, "cpu", 0)),
    ports,
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
    ...rolloutOfWords(words),
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

function canaryOf(text: string): NonNullable<RolloutRules["canary"]> {
  const amount = Number(text.replace("%", ""));
  return { amount, unit: text.endsWith("%") ? "percent" : "tasks" };
}
