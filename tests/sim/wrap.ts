import type { Applied } from "../../src/model/change.ts";
import type { Node } from "../../src/model/node.ts";
import type { Service, ServiceSpec } from "../../src/model/service.ts";
import type { Task } from "../../src/model/task.ts";
import type { View } from "../../src/model/view.ts";
import type { Store } from "../../src/store/store.ts";

/*
 * Stores that let through what they are given, but for one thing: how bugs are put into a run.
 */

/** The same object, but for some of its methods. */
export function wrap<T extends object>(whole: T, over: Partial<T>): T {
  return new Proxy(whole, {
    get(target, key) {
      const own: unknown = Reflect.get(over, key);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

export function withCommit(store: Store, commit: Store["commit"]): Store {
  return wrap(store, { commit });
}

export function withView(store: Store, see: (view: View) => Partial<View>): Store {
  return wrap(store, { view: () => wrap(store.view(), see(store.view())) });
}

/** Changes what is seen; what is written goes through what was seen, and so stays as it was. */
export function withNodes(store: Store, see: (node: Node) => Node): Store {
  return withView(store, (view) => ({
    nodes: new Map([...view.nodes].map(([id, node]) => [id, see(node)])),
    follow: (follower) => view.follow((applied, at) => follower(withNode(applied, see), at)),
  }));
}

/** The same change, where it is one of a node as that is seen. */
function withNode(applied: Applied, see: (node: Node) => Node): Applied {
  if (applied.kind !== "node") return applied;
  const { before, after } = applied;
  return { ...applied, before: before && see(before), after: after && see(after) };
}

export function withServices(store: Store, see: (service: Service) => Service): Store {
  return withView(store, (view) => ({
    services: new Map([...view.services].map(([id, service]) => [id, see(service)])),
  }));
}

export function withSpecs(store: Store, see: (spec: ServiceSpec) => ServiceSpec): Store {
  return withServices(store, (service) => ({
    ...service,
    revisions: service.revisions.map(({ spec, ...rest }) => ({ ...rest, spec: see(spec) })),
  }));
}

export function withTasks(store: Store, see: (tasks: readonly Task[]) => readonly Task[]): Store {
  return withView(store, (view) => ({ tasksOf: (service) => see(view.tasksOf(service)) }));
}
