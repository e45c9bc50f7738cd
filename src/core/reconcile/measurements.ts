import type { ServiceSpec } from "../../model/service.ts";

export type Metric = "cpu" | "memory" | "requests";

/** How far the tasks are from what is wanted of one metric. */
export interface Measurement {
  metric: Metric;
  /** For each task that was measured, what it has over what it is to have; 1 is just right. */
  ratios: readonly number[];
}

/** What a running task uses. */
export interface TaskRate {
  /** Thousandths of a core. */
  cpuMillis: number;
  memoryBytes: number;
}

export interface ServiceRates {
  /** Tasks that serve, measured or not. */
  serving: number;
  /** Those that were measured. */
  tasks: readonly TaskRate[];
  /** Requests and new connections in a second; undefined where nobody counted. */
  requests: number | undefined;
}

/** What was measured over what the service's policy wants, for each metric that it names. */
export function measurementsOf(spec: ServiceSpec, rates: ServiceRates): Measurement[] {
  const { cpuPercent, memoryPercent, requestsPerSecond } = spec.autoscale ?? {};
  const { reservations, limits } = spec.resources;
  const cpuMillis = reservations.cpuMillis || (limits.cpuMillis ?? 1000);
  const memoryBytes = reservations.memoryBytes || (limits.memoryBytes ?? 0);
  const measurements: Measurement[] = [];
  if (cpuPercent !== undefined) {
    const wanted = (cpuMillis * cpuPercent) / 100;
    measurements.push({ metric: "cpu", ratios: rates.tasks.map((one) => one.cpuMillis / wanted) });
  }
  // Without a size to compare with the file was refused.
  if (memoryPercent !== undefined && memoryBytes > 0) {
    const wanted = (memoryBytes * memoryPercent) / 100;
    const ratios = rates.tasks.map((one) => one.memoryBytes / wanted);
    measurements.push({ metric: "memory", ratios });
  }
  if (requestsPerSecond !== undefined && rates.requests !== undefined) {
    const ratio = rates.requests / Math.max(1, rates.serving) / requestsPerSecond;
    measurements.push({ metric: "requests", ratios: Array<number>(rates.serving).fill(ratio) });
  }
  return measurements;
}
