import { amount, choice, count, honoured, list, mapping, pairs } from "./shape.ts";
import { scalar, text, texts, warned, type Property } from "./shape.ts";

const updateConfig = mapping("update_config", {
  parallelism: honoured(count),
  delay: honoured(text),
  order: honoured(choice("start-first", "stop-first")),
  failure_action: honoured(text),
  monitor: honoured(text),
  max_failure_ratio: honoured(amount),
});

const rollbackConfig = mapping("rollback_config", {
  parallelism: honoured(count),
  delay: honoured(text),
  order: honoured(choice("start-first", "stop-first")),
  failure_action: honoured(text),
  monitor: honoured(text),
  max_failure_ratio: honoured(amount),
});

const genericResources = list(
  mapping("a generic resource", {
    discrete_resource_spec: honoured(
      mapping("discrete_resource_spec", { kind: honoured(text), value: honoured(amount) }),
    ),
  }),
);

/** What a service may ask of a GPU or another device, by its driver. */
export const deviceRequest: Readonly<Record<string, Property>> = {
  capabilities: honoured(texts),
  count: honoured(count),
  device_ids: honoured(texts),
  driver: honoured(text),
  options: warned("have no effect: a device is given as it is", { ...pairs }),
};

const devices = list(
  mapping("a device reservation", deviceRequest, { required: ["capabilities"] }),
);

const resources = mapping("resources", {
  limits: honoured(
    mapping("limits", { cpus: honoured(amount), memory: honoured(text), pids: honoured(count) }),
  ),
  reservations: honoured(
    mapping("reservations", {
      cpus: honoured(amount),
      memory: honoured(text),
      generic_resources: honoured(genericResources),
      devices: honoured(devices),
    }),
  ),
});

const restartPolicy = mapping("restart_policy", {
  condition: honoured(text),
  delay: honoured(text),
  max_attempts: honoured(count),
  window: honoured(text),
});

const placement = mapping("placement", {
  constraints: honoured(texts),
  preferences: honoured(list(mapping("a placement preference", { spread: honoured(text) }))),
  max_replicas_per_node: honoured(count),
});

export const deploy: Property = honoured({
  ...scalar("null"),
  ...mapping("deploy", {
    mode: honoured(text),
    endpoint_mode: honoured(text),
    replicas: honoured(count),
    labels: honoured(pairs),
    rollback_config: honoured(rollbackConfig),
    update_config: honoured(updateConfig),
    resources: honoured(resources),
    restart_policy: honoured(restartPolicy),
    placement: honoured(placement),
  }),
});
