import { formatServiceName } from "../../model/names.ts";
import { sortedBy } from "../../lib/order.ts";
import {
  ANY_HOST,
  filesKeyOf,
  type IngressRule,
  keyOfRule,
  wildcardOf,
} from "../../model/ingress-rule.ts";
import type { MapService, MapTask, NetworkMap } from "../../model/network-map.ts";

/** A ready task, as requests reach it. */
export interface Endpoint {
  taskId: string;
  address: string;
  port: number;
  /** `10.210.1.4:8080` */
  key: string;
}

/** A host that has a certificate. */
export interface CertifiedHost {
  host: string;
  /** Which files it comes from, with its key; absent for one of the cluster. */
  files?: string;
}

/** A rule with what answers by it. */
export interface Route {
  rule: IngressRule;
  serviceId: string;
  /** `shop/web` */
  service: string;
  endpoints: readonly Endpoint[];
}

/** The routes of one host by their paths, and the most segments that one of them has. */
interface HostRoutes {
  byPath: Map<string, Route>;
  depth: number;
}

/**
 * Which service a request is for. What a look costs depends on the request alone, and not on how
 * many routes there are.
 */
export class RouteTable {
  readonly #hosts = new Map<string, HostRoutes>();
  readonly routes: readonly Route[];

  private constructor(routes: readonly Route[]) {
    this.routes = routes;
    for (const route of routes) {
      const { host, path } = route.rule;
      const known = this.#hosts.get(host) ?? { byPath: new Map<string, Route>(), depth: 0 };
      known.byPath.set(path, route);
      known.depth = Math.max(known.depth, path === "/" ? 0 : path.split("/").length - 1);
      this.#hosts.set(host, known);
    }
  }

  /** Of two services that have the same rule, the one that was made first keeps it. */
  static of(map: Pick<NetworkMap, "services" | "tasks">): RouteTable {
    const services = map.services.filter(({ ingress = [] }) => ingress.length > 0);
    if (services.length === 0) return new RouteTable([]);
    const tasks = new Map<string, MapTask[]>(services.map(({ id }) => [id, []]));
    for (const task of map.tasks) if (task.isReady) tasks.get(task.serviceId)?.push(task);
    const byKey = new Map<string, Route>();
    for (const service of services.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      for (const rule of service.ingress ?? []) {
        const key = keyOfRule(rule);
        if (byKey.has(key)) continue;
        byKey.set(key, routeOf(service, rule, tasks.get(service.id) ?? []));
      }
    }
    return new RouteTable([...byKey.values()]);
  }

  /**
   * The route with the longest path of the host's own rules, of those for its wildcard, or of those
   * for any host, the first of these that has one.
   * @param host in lower case, without a port
   * @param path without a query
   */
  find(host: string, path: string): Route | undefined {
    const wildcard = wildcardOf(host);
    return (
      longest(this.#hosts.get(host), path) ??
      (wildcard === undefined ? undefined : longest(this.#hosts.get(wildcard), path)) ??
      longest(this.#hosts.get(ANY_HOST), path)
    );
  }

  /**
   * Hosts that are reached over HTTPS, sorted by their names. Where rules of one host say different
   * things, the first that names files counts.
   */
  certifiedHosts(): CertifiedHost[] {
    const found = new Map<string, CertifiedHost>();
    for (const { rule } of this.routes) {
      const { host, tls } = rule;
      const files = filesKeyOf(rule);
      if (tls === "off" || (tls === "file" && files === undefined)) continue;
      const known = found.get(host);
      if (known === undefined || (known.files === undefined && files !== undefined)) {
        found.set(host, files === undefined ? { host } : { host, files });
      }
    }
    return sortedBy(found.values(), ({ host }) => host);
  }
}

function routeOf(service: MapService, rule: IngressRule, tasks: readonly MapTask[]): Route {
  const key = keyOfRule(rule);
  const endpoints = tasks.map((task) => {
    const own = task.ingress?.find((other) => keyOfRule(other) === key);
    const port = own?.port ?? rule.port;
    const { id: taskId, address } = task;
    return { taskId, address, port, key: `${address}:${port}` };
  });
  const name = formatServiceName(service.stack, service.name);
  return { rule, serviceId: service.id, service: name, endpoints };
}

/** From the longest prefix of whole segments down to `/`. */
function longest(routes: HostRoutes | undefined, path: string): Route | undefined {
  if (routes === undefined) return undefined;
  const { byPath, depth } = routes;
  for (let prefix = cut(path, depth); prefix !== "";) {
    const found = byPath.get(prefix);
    if (found !== undefined) return found;
    prefix = prefix.slice(0, prefix.lastIndexOf("/"));
  }
  return byPath.get("/");
}

/** The first segments of a path; empty for `/`. */
function cut(path: string, segments: number): string {
  let end = 0;
  for (let count = 0; count < segments && end < path.length; count++) {
    const next = path.indexOf("/", end + 1);
    end = next < 0 ? path.length : next;
  }
  return end === 1 ? "" : path.slice(0, end);
}
