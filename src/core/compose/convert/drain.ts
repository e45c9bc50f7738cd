import { drainPolicySchema, type DrainPolicy } from "../../../model/drain.ts";
import type { ServiceSpec } from "../../../model/service.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

/** `x-orchd.drain`: undefined where tasks leave a drained node as they do in an update. */
export function drainOf(service: Cursor, mode: ServiceSpec["mode"]): DrainPolicy | undefined {
  const given = service.get("x-orchd")?.get("drain");
  if (given === undefined) return undefined;
  if (mode !== "replicated") {
    return given.error(`goes with deploy.mode: replicated alone, not with ${mode}`);
  }
  const { data: order } = drainPolicySchema.shape.order.safeParse(given.get("order")?.text());
  const parallelism = given.get("parallelism")?.integer(0);
  const policy = withoutUndefined({ order, parallelism });
  return Object.keys(policy).length === 0 ? undefined : policy;
}
