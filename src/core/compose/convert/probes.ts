import type { ContainerSpec } from "../../../model/container.ts";
import {
  HTTP_HOST,
  HTTP_NAME,
  HTTP_PATH,
  HTTP_VALUE,
  PROBE_COUNT_MAX,
  checkSchema,
  type Check,
  type Probe,
  type Probes,
} from "../../../model/probe.ts";
import type { Port } from "../../../model/service.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";
import { durationOf, healthcheckOf, intervalOf, shellCommandOf } from "./healthcheck.ts";
import { textsOf } from "./network.ts";
import { pairsOf } from "./pairs.ts";

/** What a probe has where the file does not say otherwise; a start may take five minutes. */
const DEFAULTS = { intervalMs: 10_000, timeoutMs: 5000, failures: 3, successes: 1 } as const;
const STARTUP_FAILURES = 30;
const START_INTERVAL_MS = 5000;

const KINDS = ["exec", "http", "tcp", "grpc"] as const;
const PORT_MAX = 65_535;

export interface ProbeContext {
  networkMode: ContainerSpec["networkMode"];
  ports: readonly Port[];
}

/** What is asked of the tasks of a service: `healthcheck` and `x-orchd.probes`. */
export function probesOf(service: Cursor, context: ProbeContext): Probes | undefined {
  const healthcheck = service.get("healthcheck");
  const given = service.get("x-orchd")?.get("probes");
  const own = healthcheckOf(healthcheck);
  const probes: Probes = withoutUndefined({
    startup: probeOf(given?.get("startup"), context, STARTUP_FAILURES),
    ready: probeOf(given?.get("ready"), context, DEFAULTS.failures),
    live: probeOf(given?.get("live"), context, DEFAULTS.failures),
    healthcheck: own,
  });
  if (given?.has("ready") === true || given?.has("live") === true) {
    if (own?.disabled === false) healthcheck?.warn("is not run: x-orchd.probes takes its place");
    delete probes.healthcheck;
  }
  return Object.keys(probes).length === 0 ? undefined : probes;
}

function probeOf(
  at: Cursor | undefined,
  context: ProbeContext,
  failures: number,
): Probe | undefined {
  if (at === undefined) return undefined;
  const check = checkOf(at, context);
  const times = (key: string) => at.get(key)?.integer(1, PROBE_COUNT_MAX);
  const probe = {
    intervalMs: intervalOf(at.get("interval")) ?? DEFAULTS.intervalMs,
    timeoutMs: durationOf(at.get("timeout")) || DEFAULTS.timeoutMs,
    failures: times("retries") ?? failures,
    successes: times("successes") ?? DEFAULTS.successes,
    startPeriodMs: durationOf(at.get("start_period")) ?? 0,
    startIntervalMs: intervalOf(at.get("start_interval")) ?? START_INTERVAL_MS,
  };
  return check && { check, ...probe };
}

function checkOf(at: Cursor, context: ProbeContext): Check | undefined {
  const kinds = KINDS.filter((kind) => at.has(kind));
  const [kind, other] = kinds;
  if (kind === undefined) return at.error("needs one of exec, http, tcp and grpc");
  if (other !== undefined) return at.error(`has both ${kind} and ${other}; keep one of them`);
  const value = at.get(kind);
  const check = value && askedOf(kind, value, context);
  if (check === undefined || checkSchema.safeParse(check).success) return check;
  return value?.error("has a part that is too long");
}

function askedOf(kind: Check["type"], value: Cursor, context: ProbeContext): Check | undefined {
  if (kind === "exec") return commandOf(value);
  if (context.networkMode === "none") {
    return value.error("needs a network, and network_mode is none; use exec");
  }
  const port = portOf(value, context);
  if (port === undefined) return undefined;
  switch (kind) {
    case "http":
      return httpOf(value, port);
    case "tcp":
      return { type: "tcp", port };
    case "grpc":
      return { type: "grpc", port, service: value.get("service")?.text() ?? "" };
  }
}

function commandOf(value: Cursor): Check | undefined {
  const text = value.node.kind === "list" ? undefined : (value.text() ?? "");
  const command = text === undefined ? textsOf(value) : shellCommandOf(text);
  if (command.length === 0 || text?.trim() === "") return value.error("has no command");
  return { type: "exec", command };
}

/** The port itself, the one under `port`, or the only one of TCP that the service publishes. */
function portOf(value: Cursor, { ports }: ProbeContext): number | undefined {
  const given = value.isMap ? value.get("port") : value;
  if (given !== undefined) return given.integer(1, PORT_MAX);
  const targets = new Set(
    ports.filter(({ protocol }) => protocol === "tcp").map(({ target }) => target),
  );
  const [only] = targets;
  if (only !== undefined && targets.size === 1) return only;
  return value.error("needs port: the service does not publish exactly one");
}

function httpOf(value: Cursor, port: number): Check {
  const matching = (rule: RegExp) => (text: string) => (rule.test(text) ? text : undefined);
  const path = value.get("path");
  return withoutUndefined({
    type: "http" as const,
    scheme: value.get("scheme")?.text() === "https" ? ("https" as const) : ("http" as const),
    port,
    path: path?.parsed(matching(HTTP_PATH), "must begin with / and be in ASCII") ?? "/",
    host: value.get("host")?.parsed(matching(HTTP_HOST), "must be a host name"),
    headers: headersOf(value.get("headers")),
  });
}

function headersOf(at: Cursor | undefined): Record<string, string> {
  const headers = pairsOf(at);
  const isBad = ([name, text]: [string, string]) => !HTTP_NAME.test(name) || !HTTP_VALUE.test(text);
  if (!Object.entries(headers).some(isBad)) return headers;
  at?.error("must be names and values as HTTP has them, in ASCII and on one line each");
  return {};
}
