import { address6Of } from "../../core/network/address6.ts";
import { OrchdError } from "../../lib/errors.ts";
import { sortedBy } from "../../lib/order.ts";
import { nearest } from "../../lib/text.ts";
import type { Attachment } from "../../model/attachment.ts";
import { type Endpoint, endpointsOf } from "../../model/endpoint.ts";
import { formatServiceName } from "../../model/names.ts";
import { specOf, type Service } from "../../model/service.ts";
import { attachmentsOf, wantsVirtualIp } from "../../model/service-network.ts";
import type {
  EndpointSummary,
  NetworkInspection,
  NetworkSummary,
} from "../../model/network-summary.ts";
import { formatTaskName } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { hostnameOf } from "./target.ts";

/** A service as it is in one network. */
interface Member {
  service: Service;
  attachment: Attachment;
}

/** Every network that a service is in, by name. */
export function networkSummaries(view: View): NetworkSummary[] {
  const networks = sortedBy(membersByNetwork(view), ([name]) => name);
  return networks.map(([name, members]) => summaryOf(view, name, members));
}

/** @throws OrchdError `notFound` with the nearest name */
export function networkInspection(view: View, name: string): NetworkInspection {
  const networks = membersByNetwork(view);
  const members = networks.get(name);
  if (members === undefined) {
    const near = nearest(name, networks.keys());
    const hint = near === undefined ? "" : `; did you mean ${near}?`;
    throw new OrchdError("notFound", `no service is in a network of that name${hint}`);
  }
  const sorted = sortedBy(members, ({ service }) => formatServiceName(service.stack, service.name));
  return {
    ...summaryOf(view, name, members),
    members: sorted.map(({ service, attachment }) => ({
      stack: service.stack,
      service: service.name,
      aliases: attachment.aliases,
      endpointMode: specOf(service).endpointMode ?? "vip",
      ...virtualOf(view, service),
      endpoints: sortedBy(endpointsOf(view, service, name), ({ task }) => orderOf(task.slot)).map(
        (endpoint) => endpointSummary(view, endpoint),
      ),
    })),
  };
}

function virtualOf(view: View, service: Service) {
  const { virtualIp } = service;
  if (virtualIp === undefined || !wantsVirtualIp(service)) return {};
  const virtualIp6 = inet6Of(view, virtualIp);
  return { virtualIp, ...(virtualIp6 === undefined ? {} : { virtualIp6 }) };
}

function membersByNetwork(view: View): Map<string, Member[]> {
  const networks = new Map<string, Member[]>();
  for (const service of view.services.values()) {
    for (const attachment of attachmentsOf(service.stack, specOf(service))) {
      const members = networks.get(attachment.network) ?? [];
      members.push({ service, attachment });
      networks.set(attachment.network, members);
    }
  }
  return networks;
}

function summaryOf(view: View, name: string, members: readonly Member[]): NetworkSummary {
  const endpoints = members.flatMap(({ service }) => endpointsOf(view, service, name));
  return {
    name,
    internal: members.some(({ attachment }) => attachment.internal),
    stacks: [...new Set(members.map(({ service }) => service.stack))].sort(),
    services: members.length,
    tasks: endpoints.length,
    ready: endpoints.filter(({ out }) => out === undefined).length,
  };
}

function endpointSummary(view: View, { task, out }: Endpoint): EndpointSummary {
  const node = hostnameOf(view, task);
  const { id, address, state, health } = task;
  const address6 = inet6Of(view, address);
  return {
    taskId: id,
    task: formatTaskName(task, node),
    ...(address === undefined ? {} : { address }),
    ...(address6 === undefined ? {} : { address6 }),
    ...(node === undefined ? {} : { node }),
    state,
    health,
    ready: out === undefined,
    reason: out === undefined ? "" : `it ${out}`,
  };
}

/** The IPv6 address that goes with one of IPv4, where the cluster has such. */
function inet6Of({ cluster }: View, address: string | undefined): string | undefined {
  const range6 = cluster?.range6;
  if (range6 === undefined || address === undefined) return undefined;
  return address6Of(range6, address);
}

/** Numbers sort as numbers: `web.2` comes before `web.10`. */
function orderOf(slot: string): string {
  return slot.padStart(20, "0");
}
