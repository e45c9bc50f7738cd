import type { Progress, ServiceSummary, TaskSummary } from "../../../src/model/summary.ts";

export function aServiceSummary(given: Partial<ServiceSummary> = {}): ServiceSummary {
  return {
    id: "s1",
    stack: "shop",
    name: "web",
    mode: "replicated",
    image: "web:1",
    revision: 1,
    wanted: 3,
    running: 0,
    ready: 0,
    outdated: 0,
    ports: [],
    converged: false,
    message: "",
    failures: 0,
    updatedAt: 0,
    ...given,
  };
}

export function aReadyService(given: Partial<ServiceSummary> = {}): ServiceSummary {
  return aServiceSummary({ running: 3, ready: 3, converged: true, ...given });
}

export function aTaskSummary(given: Partial<TaskSummary> = {}): TaskSummary {
  return {
    id: "t1",
    name: "shop/web.1",
    stack: "shop",
    service: "web",
    slot: "1",
    revision: 1,
    image: "web:1",
    node: "n1",
    desired: "running",
    state: "running",
    health: "none",
    ready: true,
    message: "",
    ports: [],
    failures: 0,
    createdAt: 0,
    since: 0,
    ...given,
  };
}

export function aProgress(services: ServiceSummary[], given: Partial<Progress> = {}): Progress {
  const converged = services.every((service) => service.converged);
  return { stack: "shop", services, converged, removed: false, ...given };
}
