import type { ContainerSpec } from "../../../model/container.ts";
import { quoted } from "../problem.ts";
import { nearest } from "../../../lib/text.ts";
import type { ServiceSpec } from "../../../model/service.ts";
import { isHostName, isIpv4, isIpv6, withoutBrackets } from "./addresses.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

type NetworkSpec = Pick<
  ContainerSpec,
  "networkMode" | "networkOf" | "extraHosts" | "dns" | "dnsSearch" | "dnsOptions"
>;

const HOSTS_MAX = 256;

/** How a container reaches others, and by which names. */
export function networkSpecOf(service: Cursor): NetworkSpec {
  return {
    networkMode: networkModeOf(service),
    ...withoutUndefined({ networkOf: networkOwnerOf(service) }),
    extraHosts: extraHostsOf(service.get("extra_hosts")),
    dns: (service.get("dns")?.items() ?? []).flatMap((item) => {
      const address = item.text() ?? "";
      if (isIpv4(address) || isIpv6(address)) return [address];
      item.error(`must be the IP address of a DNS server, not ${quoted(address)}`);
      return [];
    }),
    dnsSearch: textsOf(service.get("dns_search")),
    dnsOptions: textsOf(service.get("dns_opt")),
  };
}

/** The texts of one value or a list of them. */
export function textsOf(cursor: Cursor | undefined): string[] {
  return (cursor?.items() ?? []).flatMap((item) => item.text() ?? []);
}

function networkModeOf(service: Cursor): ContainerSpec["networkMode"] {
  const mode = service.get("network_mode");
  const text = mode?.text();
  if (mode === undefined || text === undefined) return "bridge";
  const networks = service.get("networks");
  if (networks !== undefined) networks.error("does not go with network_mode; remove one of them");
  if (text === "default" || text === "bridge") return "bridge";
  if (text === "host" || text === "none") return text;
  if (networkOwnerOf(service) !== undefined) return "service";
  if (text.startsWith("container:")) {
    mode.refuse(`is ${quoted(text)}: containers have no names here; write service:NAME`);
  } else {
    mode.error(`must be bridge, host, none or service:NAME, not ${quoted(text)}`);
  }
  return "bridge";
}

/** The service of the same file whose network a service shares: `network_mode: service:NAME`. */
export function networkOwnerOf(service: Cursor): string | undefined {
  return /^service:(.+)$/s.exec(service.get("network_mode")?.text() ?? "")?.[1];
}

/** Whose network is shared has to be a service of this file, with a network of its own. */
export function refuseSharedNetworks(
  all: readonly [string, Cursor][],
  active: ReadonlyMap<string, ServiceSpec>,
): void {
  const names = all.map(([name]) => name);
  for (const [name, service] of all) {
    const mode = service.get("network_mode");
    const owner = networkOwnerOf(service);
    if (mode === undefined || owner === undefined || !active.has(name)) continue;
    const spec = active.get(owner);
    if (owner === name) mode.error("names the service itself");
    else if (spec !== undefined && spec.container.networkMode !== "bridge") {
      mode.error(`names ${owner}, which has no network of its own`);
    } else if (
      spec !== undefined &&
      spec.container.runtime !== active.get(name)?.container.runtime
    ) {
      mode.refuse(`names ${owner}: a process and a container can't share a network`);
    } else if (spec === undefined && !mode.findings.incomplete) {
      const guess = nearest(owner, names);
      const hint = guess === undefined || guess === owner ? "" : `; did you mean ${guess}?`;
      mode.error(
        names.includes(owner)
          ? `needs a service that no chosen profile has: choose one of ${owner}'s with --profile`
          : `names no service of this file${hint}`,
      );
    }
  }
}

function extraHostsOf(cursor: Cursor | undefined): ContainerSpec["extraHosts"] {
  const hosts: ContainerSpec["extraHosts"] = [];
  for (const [host, value] of cursor?.entries("hosts") ?? []) {
    if (!isHostName(host)) {
      value.error(`has the host name ${quoted(host)}, which is none`);
      continue;
    }
    for (const item of value.items()) {
      const address = withoutBrackets(item.text() ?? "");
      const known = address === "host-gateway" || isIpv4(address) || isIpv6(address);
      if (known) hosts.push({ host, address });
      else item.error(`must be an IP address or host-gateway, not ${quoted(address)}`);
    }
  }
  if (hosts.length <= HOSTS_MAX) return hosts;
  cursor?.error(`has more than ${HOSTS_MAX} addresses`);
  return [];
}
