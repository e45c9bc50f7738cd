import { amount, choice, count, honoured, list, mapping, pairs, parts, refused } from "./shape.ts";
import { scalar, text, texts, warned, type Property, type Shape } from "./shape.ts";

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
  mapping(
    "a generic resource",
    parts({
      discrete_resource_spec: mapping(
        "discrete_resource_spec",
        parts({ kind: text, value: amount }),
      ),
    }),
  ),
);

/** What a service may ask of a GPU or another device, by its driver. */
export const deviceRequest: Readonly<Record<string, Shape>> = {
  capabilities: texts,
  count,
  device_ids: texts,
  driver: text,
  options: { ...pairs },
};

const devices = list(
  mapping("a device reservation", parts(deviceRequest), { required: ["capabilities"] }),
);

const resources = mapping("resources", {
  limits: honoured(
    mapping("limits", { cpus: honoured(amount), memory: honoured(text), pids: honoured(count) }),
  ),
  reservations: honoured(
    mapping("reservations", {
      cpus: honoured(amount),
      memory: honoured(text),
      generic_resources: refused(
        "can't be reserved in this version; constrain the service to labelled nodes instead",
        genericResources,
      ),
      devices: refused(
        "can't be reserved in this version; name the device under devices, and constrain the " +
          "service to the nodes that have it",
        devices,
      ),
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
    endpoint_mode: warned(
      "has no effect yet: this version gives services neither a name nor an address of their own",
      text,
    ),
    replicas: honoured(count),
    labels: honoured(pairs),
    rollback_config: honoured(rollbackConfig),
    update_config: honoured(updateConfig),
    resources: honoured(resources),
    restart_policy: honoured(restartPolicy),
    placement: honoured(placement),
  }),
});
