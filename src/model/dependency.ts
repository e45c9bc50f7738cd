import { z } from "zod";
import { serviceNameSchema } from "./names.ts";

export const dependencySchema = z.object({
  /** A service of the same stack. */
  service: serviceNameSchema,
  condition: z.enum(["started", "healthy", "completed"]),
  /** Whether tasks are replaced whenever those of the dependency are. */
  restart: z.boolean(),
  /** Whether nothing starts without it; else it is waited for only where it is there and able. */
  required: z.boolean(),
});
export type Dependency = z.infer<typeof dependencySchema>;

export const DEPENDENCIES_MAX = 1000;

/**
 * Services that depend on each other in a circle, the first one again at its end; undefined where
 * none do.
 * @param dependenciesOf names by service; those that are no key depend on nothing
 */
export function findCycle(
  dependenciesOf: ReadonlyMap<string, readonly string[]>,
): string[] | undefined {
  const done = new Set<string>();
  for (const start of dependenciesOf.keys()) {
    // A path by hand: a chain of a thousand services must not use up the stack.
    const path: { name: string; next: number }[] = [];
    const onPath = new Set<string>();
    const enter = (name: string) => {
      path.push({ name, next: 0 });
      onPath.add(name);
    };
    if (!done.has(start)) enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const next = dependenciesOf.get(top.name)?.[top.next++];
      if (next === undefined) {
        done.add(top.name);
        onPath.delete(top.name);
        path.pop();
      } else if (onPath.has(next)) {
        const names = path.map(({ name }) => name);
        return [...names.slice(names.indexOf(next)), next];
      } else if (!done.has(next)) {
        enter(next);
      }
    }
  }
  return undefined;
}
