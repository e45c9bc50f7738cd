import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { freeVirtualIp, virtualRange } from "../core/network/subnets.ts";
import { put, type Change } from "../model/change.ts";
import { CLUSTER_RANGE_DEFAULT } from "../model/cluster.ts";
import type { ServiceId } from "../model/ids.ts";
import { formatServiceName } from "../model/names.ts";
import type { Service } from "../model/service.ts";
import { wantsVirtualIp } from "../model/service-network.ts";
import type { View } from "../model/view.ts";
import type { Store } from "../store/store.ts";
import { commitFresh } from "./commit-fresh.ts";
import { Controller } from "./controller.ts";

/**
 * The changes, with an address for each service among them that is to have one and has none.
 * @throws OrchdError `conflict` when all are taken
 */
export function withVirtualIps(view: View, changes: readonly Change[]): Change[] {
  let taken: Set<string> | undefined;
  return changes.map((change) => {
    if (change.kind !== "service" || change.op !== "put" || !lacksVirtualIp(change.value)) {
      return change;
    }
    taken ??= takenIn(view);
    const virtualIp = virtualIpFor(view, change.value, taken);
    taken.add(virtualIp);
    return put.service({ ...change.value, virtualIp });
  });
}

function lacksVirtualIp(service: Service): boolean {
  return service.virtualIp === undefined && wantsVirtualIp(service);
}

function takenIn(view: View): Set<string> {
  return new Set([...view.services.values()].flatMap(({ virtualIp }) => virtualIp ?? []));
}

function virtualIpFor(view: View, service: Service, taken: ReadonlySet<string>): string {
  const range = view.cluster?.range ?? CLUSTER_RANGE_DEFAULT;
  const found = freeVirtualIp(range, taken, service.id);
  if (found !== undefined) return found;
  const name = formatServiceName(service.stack, service.name);
  const message =
    `every virtual address of ${virtualRange(range)} is taken: remove services, or give ${name} ` +
    "deploy.endpoint_mode: dnsrr, which needs none";
  throw new OrchdError("conflict", message);
}

export interface VirtualIpsOptions {
  store: Store;
  clock: Clock;
  log: Log;
}

/**
 * Gives services their virtual address that came to need one otherwise than by being applied: from
 * before there were any, or by an undo.
 */
export class VirtualIps {
  readonly #store: Store;
  readonly #controller: Controller<ServiceId>;
  readonly #unwatch: () => void;

  constructor({ store, clock, log }: VirtualIpsOptions) {
    this.#store = store;
    const work = async (id: ServiceId) => {
      await commitFresh(store, (view) => {
        const service = view.services.get(id);
        if (service === undefined || !lacksVirtualIp(service)) return [];
        return withVirtualIps(view, [put.service(service)]);
      });
      return {};
    };
    this.#controller = new Controller({ name: "virtual address", clock, log, work });
    this.#unwatch = store.watch(({ applied }) => {
      for (const { kind, after } of applied) if (kind === "service") this.#note(after);
    });
  }

  start(): void {
    for (const service of this.#store.view().services.values()) this.#note(service);
  }

  close(): void {
    this.#unwatch();
    this.#controller.close();
  }

  #note(service: Service | undefined): void {
    if (service !== undefined && lacksVirtualIp(service)) this.#controller.touch(service.id);
  }
}
