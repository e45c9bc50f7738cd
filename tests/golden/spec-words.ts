import type { ServiceSpec } from "../../src/model/service.ts";
import { aContainer, aPort, aRestart, aSpec, reserving } from "../builders.ts";
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
    mode: wordOf(words, "mode", ["replicated", "global"]),
    replicas: numberOf(words, "replicas", 1),
    container: aContainer({ image: words.values.get("image") ?? `${words.name}:1` }),
    resources: reserving(numberOf(words, "cpu", 0)),
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
    },
  });
}
