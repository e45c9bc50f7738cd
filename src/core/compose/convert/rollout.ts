import type { Mount } from "../../../model/container.ts";
import {
  failureActionSchema,
  rolloutRulesSchema,
  type FailureAction,
  type RolloutRules,
  type UpdatePolicy,
} from "../../../model/rollout.ts";
import type { ServiceSpec } from "../../../model/service.ts";
import { parseWindow, WINDOW_RULE, type Window } from "../../../model/window.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

const ACTIONS = failureActionSchema.options;
/** What goes back does not go back again. */
const ACTIONS_BACK = ACTIONS.filter((action) => action !== "rollback");

/** What decides whether an old and a new task may run at the same time. */
export interface Overlap {
  mounts: readonly Mount[];
  hasDevices: boolean;
  /** Ports of the node itself are in use, or all of its network is. */
  usesHostPorts: boolean;
}

/** How slots are replaced: `deploy.update_config`, and the deadline of `x-orchd.rollout`. */
export function updatePolicyOf(service: Cursor, overlap: Overlap): UpdatePolicy {
  const config = service.get("deploy")?.get("update_config");
  const deadline = service.get("x-orchd")?.get("rollout")?.get("progress_deadline");
  const safeOrder = canOverlap(overlap) ? "start-first" : "stop-first";
  return withoutUndefined({
    ...policyOf(config, safeOrder, ACTIONS),
    progressDeadlineMs: deadline?.durationMs(),
  });
}

/** How they are put back, where the file says so. */
export function rollbackPolicyOf(service: Cursor, overlap: Overlap): UpdatePolicy | undefined {
  const config = service.get("deploy")?.get("rollback_config");
  const safeOrder = canOverlap(overlap) ? "start-first" : "stop-first";
  return config && policyOf(config, safeOrder, ACTIONS_BACK);
}

function actionIn(actions: readonly FailureAction[]) {
  return (text: string) => actions.find((action) => action === text);
}

function ruleFor(actions: readonly FailureAction[]): string {
  return `must be ${actions.slice(0, -1).join(", ")} or ${actions.at(-1)}`;
}

function policyOf(
  config: Cursor | undefined,
  safeOrder: UpdatePolicy["order"],
  actions: readonly FailureAction[],
): UpdatePolicy {
  const order = config?.get("order")?.text();
  return withoutUndefined({
    order: order === "stop-first" || order === "start-first" ? order : safeOrder,
    parallelism: config?.get("parallelism")?.integer(0) ?? 1,
    delayMs: config?.get("delay")?.durationMs() ?? 0,
    monitorMs: config?.get("monitor")?.durationMs(),
    maxFailureRatio: config?.get("max_failure_ratio")?.parsed(parseRatio, RATIO_RULE),
    failureAction: config?.get("failure_action")?.parsed(actionIn(actions), ruleFor(actions)),
  });
}

const RATIO_RULE = "must be a part of all, from 0 to 1, such as 0.25";

function parseRatio(text: string): number | undefined {
  if (!/^(\d{1,9}(\.\d{0,9})?|\.\d{1,9})$/.test(text)) return undefined;
  const ratio = Number(text);
  return ratio <= 1 ? ratio : undefined;
}

function canOverlap({ mounts, hasDevices, usesHostPorts }: Overlap): boolean {
  const sharesData = mounts.some((mount) => {
    if (mount.type === "tmpfs" || mount.readOnly) return false;
    return mount.type === "bind" || mount.volume !== "";
  });
  return !sharesData && !hasDevices && !usesHostPorts;
}

/** `x-orchd.rollout`, but for its deadline. */
export function rolloutRulesOf(
  service: Cursor,
  { mode, replicas }: Pick<ServiceSpec, "mode" | "replicas">,
): RolloutRules | undefined {
  const given = service.get("x-orchd")?.get("rollout");
  const canary = given?.get("canary");
  const promote = given?.get("promote");
  const amount = canary?.parsed(parseCanary, CANARY_RULE);
  const isTooLarge = amount?.unit === "tasks" && amount.amount > replicas && replicas > 0;
  if (isTooLarge && mode === "replicated") {
    canary?.error(`is more than the service has tasks, which is ${replicas}`);
  }
  if (promote !== undefined && canary === undefined) promote.warn("has no effect without canary");
  const { data: how } = rolloutRulesSchema.shape.promote.safeParse(promote?.text());
  const windows = given?.get("window") && windowsOf(given.get("window"));
  const lock = given?.get("lock")?.flag();
  const rules: RolloutRules = withoutUndefined({
    canary: amount,
    promote: how,
    windows: windows === undefined || windows.length === 0 ? undefined : windows,
    lock: lock === true ? lock : undefined,
  });
  return Object.keys(rules).length === 0 ? undefined : rules;
}

const CANARY_RULE = "must be a number of tasks, such as 1, or a part of them, such as 10%";

function parseCanary(text: string): RolloutRules["canary"] {
  const [, digits = "", percent] = /^(\d{1,5})(%?)$/.exec(text) ?? [];
  const amount = Number(digits);
  const most = percent === "%" ? 100 : 10_000;
  if (digits === "" || amount < 1 || amount > most) return undefined;
  return { amount, unit: percent === "%" ? "percent" : "tasks" };
}

/** One window, or a list of them. */
function windowsOf(at: Cursor | undefined): Window[] {
  const items = at?.items() ?? [];
  const each = items.length === 0 && at !== undefined ? [at] : items;
  return each.flatMap((item) => item.parsed(parseWindow, WINDOW_RULE) ?? []);
}
