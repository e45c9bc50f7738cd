import { z } from "zod";

/** How a task's health is found out: what is asked, how often, and what follows from it. */

/** Timers reach no further: some 24 days. */
export const PROBE_TIME_MAX_MS = 2_147_483_647;
export const PROBE_COUNT_MAX = 1000;
/** Nothing is asked more often, whatever a file says: a node has better things to do. */
export const PROBE_INTERVAL_MIN_MS = 100;

/** None of these can break out of its line of a request (RFC 9110, section 5; RFC 3986). */
export const HTTP_PATH = /^\/[\x21-\x7e]*$/;
export const HTTP_HOST = /^[A-Za-z0-9._:[\]-]+$/;
export const HTTP_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
export const HTTP_VALUE = /^[\t\x20-\x7e]*$/;

const milliseconds = z.int().min(0).max(PROBE_TIME_MAX_MS);
const interval = z.int().min(PROBE_INTERVAL_MIN_MS).max(PROBE_TIME_MAX_MS);
const times = z.int().min(1).max(PROBE_COUNT_MAX);
const port = z.int().min(1).max(65_535);

export const checkSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("exec"),
    /** Runs in the task's container; exit code 0 is a success. */
    command: z.array(z.string().max(32_768)).min(1).max(4096),
  }),
  z.object({
    type: z.literal("http"),
    scheme: z.enum(["http", "https"]),
    port,
    /** With its query: `/health?full=1`. */
    path: z.string().max(4096).regex(HTTP_PATH),
    /** What the request says that it asks; absent means the task's address. */
    host: z.string().max(255).regex(HTTP_HOST).optional(),
    headers: z.record(z.string().max(255).regex(HTTP_NAME), z.string().max(4096).regex(HTTP_VALUE)),
  }),
  z.object({ type: z.literal("tcp"), port }),
  z.object({
    type: z.literal("grpc"),
    port,
    /** Whose health is asked for; empty means that of the whole program. */
    service: z.string().max(255),
  }),
]);
export type Check = z.infer<typeof checkSchema>;

export const probeSchema = z.object({
  check: checkSchema,
  /** From the end of one check to the next. */
  intervalMs: interval,
  /** A check without an answer by then has failed. */
  timeoutMs: z.int().min(1).max(PROBE_TIME_MAX_MS),
  /** So many failures in a row count. */
  failures: times,
  /** So many successes in a row count. */
  successes: times,
  /** Failures in the first so many milliseconds don't count; the first success ends that time. */
  startPeriodMs: milliseconds,
  /** From one check to the next during that time. */
  startIntervalMs: interval,
});
export type Probe = z.infer<typeof probeSchema>;

/** Compose's `healthcheck`, as far as a file says it: the rest is the image's, or Docker's own. */
export const healthcheckSchema = z.object({
  disabled: z.boolean(),
  check: checkSchema.optional(),
  ...probeSchema.omit({ check: true, successes: true }).partial().shape,
});
export type Healthcheck = z.infer<typeof healthcheckSchema>;

export const probesSchema = z.object({
  /** Holds the others back until it succeeds; a task that it gives up is ended. */
  startup: probeSchema.optional(),
  /** Whether the task gets traffic. */
  ready: probeSchema.optional(),
  /** A task that fails it is ended. */
  live: probeSchema.optional(),
  /** Both in one; where it is absent, and `ready` and `live` too, the image's own counts. */
  healthcheck: healthcheckSchema.optional(),
});
export type Probes = z.infer<typeof probesSchema>;

/** What is asked of one task. */
export const PROBE_ROLES = ["startup", "ready", "live", "healthcheck"] as const;
export type ProbeRole = (typeof PROBE_ROLES)[number];
export type EffectiveProbes = Partial<Record<ProbeRole, Probe>>;

/** Docker's own, for what neither file nor image says (Dockerfile reference, HEALTHCHECK). */
export const HEALTHCHECK_DEFAULTS = {
  intervalMs: 30_000,
  timeoutMs: 30_000,
  failures: 3,
  successes: 1,
  startPeriodMs: 0,
  startIntervalMs: 5000,
} as const;

/** Whether the image's own health check has a say in what is asked of a task. */
export function asksImage(probes: Probes | undefined): boolean {
  if (probes?.ready !== undefined || probes?.live !== undefined) return false;
  return probes?.healthcheck?.disabled !== true;
}

/**
 * What is asked of a task in the end. As in Docker, the image's health check fills in what the file
 * does not say; `ready` and `live` take the place of both.
 * @param image what the image of the task's container says
 */
export function effectiveProbes(
  probes: Probes | undefined,
  image: Healthcheck | undefined,
): EffectiveProbes {
  const { startup, ready, live, healthcheck } = probes ?? {};
  const own = asksImage(probes) ? mergeHealthcheck(healthcheck, image) : undefined;
  return {
    ...(startup === undefined ? {} : { startup }),
    ...(ready === undefined ? {} : { ready }),
    ...(live === undefined ? {} : { live }),
    ...(own === undefined ? {} : { healthcheck: own }),
  };
}

function mergeHealthcheck(
  given: Healthcheck | undefined,
  image: Healthcheck | undefined,
): Probe | undefined {
  const fromImage = image?.disabled === true ? undefined : image;
  const check = given?.check ?? fromImage?.check;
  if (check === undefined) return undefined;
  const of = (key: Exclude<keyof Probe, "check" | "successes">) =>
    given?.[key] ?? fromImage?.[key] ?? HEALTHCHECK_DEFAULTS[key];
  return {
    check,
    intervalMs: of("intervalMs"),
    timeoutMs: of("timeoutMs"),
    failures: of("failures"),
    successes: HEALTHCHECK_DEFAULTS.successes,
    startPeriodMs: of("startPeriodMs"),
    startIntervalMs: of("startIntervalMs"),
  };
}

/** Whether a task with these probes gets no traffic before it has passed one of them. */
export function gatesTraffic({ startup, ready, healthcheck }: EffectiveProbes): boolean {
  return startup !== undefined || ready !== undefined || healthcheck !== undefined;
}

/** `GET http :8080/health`, `tcp :5432`, `pg_isready -q`: what is asked, for people. */
export function formatCheck(check: Check): string {
  switch (check.type) {
    case "exec":
      return check.command.slice(check.command[0] === "/bin/sh" ? 2 : 0).join(" ");
    case "http":
      return `GET ${check.scheme} :${check.port}${check.path}`;
    case "tcp":
      return `tcp :${check.port}`;
    case "grpc":
      return `grpc :${check.port}${check.service === "" ? "" : ` ${check.service}`}`;
  }
}
