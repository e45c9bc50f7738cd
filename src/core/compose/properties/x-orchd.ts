import {
  amount,
  choice,
  command,
  count,
  either,
  flag,
  honoured,
  list,
  mapping,
  pairs,
  parts,
  refused,
  text,
  texts,
  type Shape,
} from "./shape.ts";

/** Anything at all: it is refused as it stands. */
const anything: Shape = {};

/** What happens to a service's tasks when their node is down, and when it is back. */
const disconnect = mapping("disconnect", {
  replace_after: honoured(text),
  reconcile: honoured(choice("keep-original", "keep-replacement", "longest-running")),
});

const pace = mapping("a direction of autoscale", parts({ window: text, step: count }));

/** Replicas that follow what there is to do. */
const autoscale = mapping(
  "autoscale",
  {
    min: honoured(count),
    max: honoured(count),
    cpu: honoured(amount),
    memory: honoured(amount),
    requests: honoured(amount),
    up: honoured(pace),
    down: honoured(pace),
  },
  { required: ["max"] },
);
/** How carefully a service goes from one revision to the next. */
const rollout = mapping("rollout", {
  canary: honoured(count),
  promote: honoured(choice("auto", "manual")),
  progress_deadline: honoured(text),
  window: honoured(either(text, texts)),
  lock: honoured(flag),
});

/** How tasks leave a drained node, where that is to be otherwise than in an update. */
const drain = mapping("drain", {
  order: honoured(choice("stop-first", "start-first")),
  parallelism: honoured(count),
});

/** How a job is done, beyond what `deploy` says. */
const job = mapping("job", {
  completions: honoured(count),
  parallelism: honoured(count),
  retries: honoured(count),
  deadline: honoured(text),
});

/** When a job runs: a cron line, or one with what happens around it. */
const schedule = either(
  text,
  mapping(
    "schedule",
    {
      cron: honoured(text),
      time_zone: honoured(text),
      overlap: honoured(choice("allow", "skip", "replace")),
      missed: honoured(choice("once", "skip", "all")),
      deadline: honoured(text),
      history: honoured(count),
    },
    { required: ["cron"] },
  ),
);

/** What is asked of tasks, and how often. */
const probe = mapping("a probe", {
  exec: honoured(command),
  http: honoured(
    mapping("http", {
      port: honoured(count),
      path: honoured(text),
      scheme: honoured(choice("http", "https")),
      host: honoured(text),
      headers: honoured(pairs),
    }),
  ),
  tcp: honoured(either(count, mapping("tcp", { port: honoured(count) }))),
  grpc: honoured(
    either(count, mapping("grpc", { port: honoured(count), service: honoured(text) })),
  ),
  interval: honoured(text),
  timeout: honoured(text),
  retries: honoured(count),
  successes: honoured(count),
  start_period: honoured(text),
  start_interval: honoured(text),
});

const probes = mapping("probes", {
  startup: honoured(probe),
  ready: honoured(probe),
  live: honoured(probe),
});

/** Where tasks are to be as seen from those of another service. */
const affinity = mapping(
  "an affinity",
  {
    service: honoured(text),
    relation: honoured(choice("near", "apart")),
    key: honoured(text),
    required: honoured(flag),
  },
  { required: ["service", "relation"] },
);

/** Requests of a host and a path that every node takes for the service. */
const ingress = mapping(
  "a rule of ingress",
  {
    host: honoured(text),
    path: honoured(text),
    port: honoured(count),
    strip: honoured(flag),
    tls: honoured(text),
    certificate: honoured(text),
    key: honoured(text),
    redirect: honoured(flag),
    sticky: honoured(flag),
    max_body: honoured(amount),
    timeout: honoured(text),
  },
  { required: ["host"] },
);

/** What stands under `x-orchd` of a service: what orchd has beyond the Compose Specification. */
export const xOrchd: Shape = mapping("x-orchd", {
  autoscale: honoured(autoscale),
  disconnect: honoured(disconnect),
  drain: honoured(drain),
  ingress: honoured(either(ingress, list(ingress))),
  rollout: honoured(rollout),
  job: honoured(job),
  schedule: honoured(schedule),
  constraints: honoured(texts),
  affinity: honoured(list(affinity)),
  sticky: honoured(text),
  strategy: honoured(choice("spread", "binpack")),
  priority: honoured(count),
  probes: honoured(probes),
  rebalance: honoured(choice("off", "gentle")),
  runtime: honoured(choice("container", "process")),
  backup: refused("belongs under a volume, as x-orchd.backup there", anything),
});

/** What stands under `x-orchd` of a volume. */
export const volumeExtension: Shape = mapping("x-orchd of a volume", {
  backup: honoured(
    mapping(
      "backup",
      {
        schedule: honoured(text),
        time_zone: honoured(text),
        keep: honoured(count),
        to: honoured(text),
        stop: honoured(flag),
        freeze: honoured(flag),
      },
      { required: ["schedule"] },
    ),
  ),
});
