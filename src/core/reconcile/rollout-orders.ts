import { formatServiceName } from "../../model/names.ts";
import { letGo, undo } from "../../model/revise.ts";
import { isUnderWay, type Rollout } from "../../model/rollout.ts";
import { currentRevision, specOf, type Revision, type Service } from "../../model/service.ts";
import { equalJson } from "../../lib/order.ts";
import type { View } from "../../model/view.ts";
import { problemsOfRules } from "./ingress.ts";
import { assignPorts } from "./ports.ts";
import { promoted } from "./rollout.ts";

/** What a person may ask of a rollout. */
export type RolloutOrder =
  | { type: "pause" }
  | { type: "resume"; unlock: boolean }
  | { type: "promote" }
  /** Back to a revision; to the one before where none is named. */
  | { type: "undo"; to?: number | undefined };

/** What becomes of an order: the service, the same object where nothing changes, or why not. */
export type OrderResult = { service: Service } | { problem: string };

/** @param now milliseconds since 1970 */
export function orderRollout(
  view: View,
  service: Service,
  order: RolloutOrder,
  now: number,
): OrderResult {
  const name = formatServiceName(service.stack, service.name);
  if (service.removing) return { problem: `service ${name} is being removed` };
  if (order.type === "undo") return orderUndo(view, service, order.to, now);
  const { rollout } = service;
  if (!isUnderWay(rollout)) return { problem: `service ${name} has no rollout under way` };
  const result = change(service, rollout, order, { name, now });
  if (typeof result === "string") return { problem: result };
  return { service: result === rollout ? service : { ...service, rollout: result } };
}

function change(
  service: Service,
  rollout: Rollout,
  order: Exclude<RolloutOrder, { type: "undo" }>,
  { name, now }: { name: string; now: number },
): Rollout | string {
  switch (order.type) {
    case "pause":
      if (rollout.state === "paused") return rollout;
      return { ...rollout, state: "paused", message: "a person paused it" };
    case "resume":
      if (rollout.state !== "paused") return `the rollout of ${name} is not paused`;
      if (rollout.locked === true && !order.unlock) {
        return `the file of ${name} locks its rollout: \`orchd rollout resume --unlock ${name}\``;
      }
      return resumed(service, rollout, now);
    case "promote": {
      if (specOf(service).rollout?.canary === undefined || rollout.promoted === true) {
        return `the rollout of ${name} has no canaries that wait for a promotion`;
      }
      if (rollout.state === "paused") {
        return `the rollout of ${name} is paused: \`orchd rollout resume ${name}\` first`;
      }
      return promoted(rollout);
    }
  }
}

/** Goes on in spite of what failed: those slots are tried on, and not counted again. */
function resumed(service: Service, rollout: Rollout, now: number): Rollout {
  const forgiven = [...new Set([...rollout.forgiven, ...rollout.failed])].sort();
  const next = { ...rollout, failed: [], forgiven, resumedAt: now };
  if (rollout.back !== undefined) return { ...next, state: "rolling-back", message: "" };
  return letGo(next, specOf(service));
}

function orderUndo(view: View, service: Service, to: number | undefined, now: number): OrderResult {
  const name = formatServiceName(service.stack, service.name);
  const target = targetOf(service, to);
  const head = currentRevision(service);
  if (target === undefined && to === undefined) {
    return { problem: `service ${name} has no older revision to go back to` };
  }
  if (target === undefined) {
    const kept = `\`orchd rollout history ${name}\` lists those that are`;
    return { problem: `revision ${to} of ${name} is not kept: ${kept}` };
  }
  if (equalJson(target.spec, head.spec)) {
    return { problem: `service ${name} is as revision ${target.revision} says already` };
  }
  const specs = specsWith(view, service, target);
  const [taken] = [
    ...assignPorts(view, service.stack, specs).problems,
    ...problemsOfRules(view, service.stack, specs),
  ];
  if (taken !== undefined) return { problem: taken };
  return { service: undoTo(view, service, target, now) };
}

/** The service back at `target`, because a person wants that. */
export function undoTo(view: View, service: Service, target: Revision, now: number): Service {
  const from = currentRevision(service).revision;
  const why = `a person went back from revision ${from} to ${target.revision}`;
  return undo(service, target, { by: "person", why, now, tasks: view.tasksOf(service.id) });
}

/** The revision of that number, or the one that the service was at before. */
function targetOf(service: Service, to: number | undefined): Revision | undefined {
  const { revisions, rollout } = service;
  const find = (wanted: number) => revisions.find(({ revision }) => revision === wanted);
  if (to !== undefined) return find(to);
  const isOnItsWay = isUnderWay(rollout) && rollout.back === undefined;
  return (isOnItsWay ? find(rollout.from) : undefined) ?? revisions[1];
}

/** The specs of the whole stack, with the service at another revision. */
function specsWith(view: View, service: Service, target: Revision) {
  const others = view.servicesOf(service.stack).filter((other) => other.id !== service.id);
  const specs = others.map((other) => [other.name, specOf(other)] as const);
  return Object.fromEntries([...specs, [service.name, target.spec] as const]);
}
