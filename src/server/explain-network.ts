import { address6Of } from "../core/network/address6.ts";
import { sortedBy } from "../lib/order.ts";
import { plural } from "../lib/text.ts";
import { type Endpoint, endpointsOf } from "../model/endpoint.ts";
import { ingressUrls } from "../model/ingress-url.ts";
import { specOf, type Service } from "../model/service.ts";
import { attachmentsOf, wantsVirtualIp } from "../model/service-network.ts";
import type { Explanation } from "../model/summary.ts";
import { formatTaskName } from "../model/task.ts";
import type { View } from "../model/view.ts";

type Facts = Explanation["facts"];

/** Endpoints without traffic that are told one by one. */
const OUT_SHOWN = 8;

/** By which names and addresses a service is reached, where traffic goes, and where it does not. */
export function networkFacts(view: View, service: Service): Facts {
  const spec = specOf(service);
  const attachments = attachmentsOf(service.stack, spec);
  if (attachments.length === 0) return [];
  const names = attachments.map(({ network, aliases, internal }) => {
    const kind = internal ? ", which is internal" : "";
    return `${[service.name, ...aliases].join(", ")} in ${network}${kind}`;
  });
  const address = wantsVirtualIp(service)
    ? virtualAddress(view, service)
    : "none: its name stands for the addresses of its tasks";
  const endpoints = sortedBy(endpointsOf(view, service), ({ task }) => task.slot.padStart(20, "0"));
  const ready = endpoints.filter(({ out }) => out === undefined);
  const out = endpoints.filter((one) => one.out !== undefined);
  const where = ready.slice(0, OUT_SHOWN).map((one) => placeOf(view, one));
  const more = ready.length > OUT_SHOWN ? ` and ${ready.length - OUT_SHOWN} more` : "";
  return [
    { label: "names", value: names.join("; ") },
    { label: "virtual address", value: address },
    ...ingressFacts(view, service),
    {
      label: "endpoints",
      value: ready.length === 0 ? "none gets traffic" : `${where.join(", ")}${more}`,
    },
    ...out.slice(0, OUT_SHOWN).map(({ task, out: why }) => ({
      label: "no traffic goes to",
      value: `${nameOf(view, task)}, since it ${why ?? ""}`,
    })),
    ...(out.length > OUT_SHOWN
      ? [{ label: "nor to", value: plural(out.length - OUT_SHOWN, "further task") }]
      : []),
  ];
}

function virtualAddress({ cluster }: View, { virtualIp }: Service): string {
  if (virtualIp === undefined) return "none yet";
  const range6 = cluster?.range6;
  return range6 === undefined ? virtualIp : `${virtualIp}, ${address6Of(range6, virtualIp)}`;
}

/** Where people find it by host and path, and which nodes can't take their requests. */
function ingressFacts(view: View, service: Service): Facts {
  const { ingress: rules = [] } = specOf(service);
  if (rules.length === 0) return [];
  const nodes = sortedBy(view.nodes.values(), ({ hostname }) => hostname);
  const urls = ingressUrls(rules, nodes);
  const needsHttps = rules.some(({ tls }) => tls !== "off");
  const isTaken = nodes.some(({ ingress }) => (needsHttps ? ingress?.https : ingress?.http));
  const troubles = nodes.flatMap(({ hostname, ingress, health }) =>
    health === "down" ? [] : (ingress?.problems ?? []).map((why) => `${hostname}: ${why}`),
  );
  return [
    ...rules.map(({ port }, i) => ({
      label: "address",
      value: `${urls[i] ?? ""} to port ${port} of its tasks`,
    })),
    ...(isTaken ? [] : [{ label: "no requests", value: "no node takes any: see --ingress-http" }]),
    ...troubles.map((value) => ({ label: "no requests on", value })),
  ];
}

/** `10.210.1.2 on h1` */
function placeOf(view: View, { task }: Endpoint): string {
  const node = task.nodeId === undefined ? undefined : view.nodes.get(task.nodeId);
  // A runtime that gives its tasks no addresses can only be told by their names.
  return `${task.address ?? formatTaskName(task)} on ${node?.hostname ?? ""}`;
}

function nameOf(view: View, task: Endpoint["task"]): string {
  return formatTaskName(task, task.nodeId && view.nodes.get(task.nodeId)?.hostname);
}
