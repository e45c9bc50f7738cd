import type { Random } from "../../src/lib/random.ts";
import type { ServiceId, TaskId } from "../../src/model/ids.ts";
import { replicasOf, specOf, type Service, type ServiceSpec } from "../../src/model/service.ts";
import { between } from "./chance.ts";
import type { Container, Machine } from "./machine.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** For so long services have the same to do. */
const SPELL_MS = 40_000;
/** As much more or less than is wanted moves nothing. */
const TOLERANCE = 0.1;

export interface LoadOptions {
  clock: VirtualClock;
  random: Random;
  machines(): readonly Machine[];
  service(id: ServiceId): Service | undefined;
}

/**
 * What services that scale themselves have to do. A service's tasks share it, and each machine
 * counts the time that its containers took of a processor, as a kernel does.
 */
export class Load {
  readonly #options: LoadOptions;
  readonly #counted = new Map<TaskId, { cpuMs: number; at: number }>();
  /** From when on everything stays as it is. */
  #steadyAt: number | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** There is another amount to do, and it stays so. */
  settle(): void {
    this.#steadyAt ??= this.#options.clock.now() + SPELL_MS;
  }

  /** Time on a processor since the container was first asked for, in ms. */
  cpuMsOf(container: Container): number {
    const now = this.#options.clock.now();
    const before = this.#counted.get(container.taskId) ?? { cpuMs: 0, at: now };
    const cpuMs = before.cpuMs + (this.#shareOf(container) * (now - before.at)) / 1000;
    this.#counted.set(container.taskId, { cpuMs, at: now });
    return cpuMs;
  }

  /** Why the service has not as many tasks as there is to do, within its bounds. */
  wrong(service: Service): string | undefined {
    const { autoscale } = specOf(service);
    if (autoscale === undefined) return undefined;
    const replicas = replicasOf(service);
    const wanted = this.#tasksFor(service.id, specOf(service));
    const right = Math.min(Math.max(Math.ceil(wanted), autoscale.min), autoscale.max);
    const isNear = Math.abs(wanted / replicas - 1) <= TOLERANCE;
    if (isNear || replicas === right) return undefined;
    return `has ${replicas} tasks, and work for ${wanted}`;
  }

  /** Thousandths of a core that a container takes. */
  #shareOf({ serviceId }: Container): number {
    const service = this.#options.service(serviceId);
    if (service === undefined) return 0;
    const sharing = this.#options.machines().flatMap(({ containers }) =>
      [...containers.values()].filter((one) => {
        return one.serviceId === serviceId && one.state === "running";
      }),
    );
    const spec = specOf(service);
    const all = this.#tasksFor(serviceId, spec) * millisWanted(spec);
    return all / Math.max(1, sharing.length);
  }

  /** For how many tasks there is just enough to do, by quarters of one. */
  #tasksFor(id: ServiceId, { autoscale }: ServiceSpec): number {
    const { clock, random } = this.#options;
    const spell = Math.floor((this.#steadyAt ?? clock.now()) / SPELL_MS);
    const most = (autoscale?.max ?? 0) + 2;
    return between(random.split(`${id}/${spell}`), 1, most * 4) / 4;
  }
}

/** What a task is to take of a core, in thousandths. */
function millisWanted({ autoscale, resources }: ServiceSpec): number {
  const size = resources.reservations.cpuMillis || (resources.limits.cpuMillis ?? 1000);
  return (size * (autoscale?.cpuPercent ?? 100)) / 100;
}
