import type { View } from "../../model/view.ts";
import type { Plan } from "./plan.ts";

/** A stack that is being removed ends when its last service has. */
export function planStack(view: View, name: string): Plan {
  const stack = view.stacks.get(name);
  const done = stack?.removing === true && view.servicesOf(name).length === 0;
  return { actions: done ? [{ type: "deleteStack", name }] : [] };
}
