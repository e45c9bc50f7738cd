import {
  DISCONNECT_DEFAULT,
  disconnectPolicySchema,
  type DisconnectPolicy,
  type RestartPolicy,
} from "../../../model/service.ts";
import { quoted } from "../problem.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

const DELAY_MS = 1000;
const DELAY_MAX_MS = 300_000;
const RESET_AFTER_MS = 600_000;

type Condition = RestartPolicy["condition"];

/**
 * When an ended task is followed by another. A delay that the file gives is constant, as elsewhere;
 * without one it doubles from one second to five minutes.
 */
export function restartPolicyOf(service: Cursor): RestartPolicy {
  const policy = service.get("deploy")?.get("restart_policy");
  const restart = service.get("restart");
  const legacy = restart && legacyRestart(restart);
  if (policy !== undefined) restart?.warn("has no effect beside deploy.restart_policy");
  const delayMs = policy?.get("delay")?.durationMs();
  const attempts = policy?.get("max_attempts")?.integer(0);
  return withoutUndefined({
    condition: policy === undefined ? (legacy?.condition ?? "any") : conditionOf(policy),
    delayMs: delayMs ?? DELAY_MS,
    delayMaxMs: delayMs ?? DELAY_MAX_MS,
    resetAfterMs: RESET_AFTER_MS,
    // No attempts at all would be condition none; Swarm takes 0 for no limit.
    maxAttempts: policy === undefined ? legacy?.maxAttempts : attempts || undefined,
    windowMs: policy?.get("window")?.durationMs() ?? 0,
  });
}

function conditionOf(policy: Cursor): Condition {
  const parse = (text: string): Condition | undefined =>
    text === "none" || text === "on-failure" || text === "any" ? text : undefined;
  const rule = "must be none, on-failure or any";
  return policy.get("condition")?.parsed(parse, rule) ?? "any";
}

/** `no`, `always`, `unless-stopped`, `on-failure[:N]` */
function legacyRestart(at: Cursor): Pick<RestartPolicy, "condition" | "maxAttempts"> | undefined {
  const text = at.text() ?? "";
  if (text === "no") return { condition: "none" };
  if (text === "always" || text === "unless-stopped") return { condition: "any" };
  const [, attempts] = /^on-failure(?::(\d{1,9}))?$/.exec(text) ?? [];
  if (attempts !== undefined && Number(attempts) > 0) {
    return { condition: "on-failure", maxAttempts: Number(attempts) };
  }
  if (text.startsWith("on-failure") && /^on-failure(?::0+)?$/.test(text)) {
    return { condition: "on-failure" };
  }
  const rule = 'must be "no", always, unless-stopped or on-failure[:N]';
  return at.error(`${rule}, not ${quoted(text)}`);
}

/** What happens to tasks whose node is down: `x-orchd.disconnect`. */
export function disconnectPolicyOf(service: Cursor): DisconnectPolicy {
  const given = service.get("x-orchd")?.get("disconnect");
  const { data } = disconnectPolicySchema.shape.reconcile.safeParse(
    given?.get("reconcile")?.text(),
  );
  return {
    replaceAfterMs: given?.get("replace_after")?.durationMs() ?? DISCONNECT_DEFAULT.replaceAfterMs,
    reconcile: data ?? DISCONNECT_DEFAULT.reconcile,
  };
}
