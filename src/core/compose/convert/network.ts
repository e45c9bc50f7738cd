import type { ContainerSpec } from "../../../model/container.ts";
import { quoted } from "../problem.ts";
import { isHostName, isIpv4, isIpv6, withoutBrackets } from "./addresses.ts";
import type { Cursor } from "./cursor.ts";

type NetworkSpec = Pick<
  ContainerSpec,
  "networkMode" | "extraHosts" | "dns" | "dnsSearch" | "dnsOptions"
>;

const HOSTS_MAX = 256;

/** How a container reaches others, and by which names. */
export function networkSpecOf(service: Cursor): NetworkSpec {
  return {
    networkMode: networkModeOf(service),
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
  if (/^(service|container):/.test(text)) {
    mode.refuse(`is ${quoted(text)}: tasks can't share a network namespace in this version`);
  } else {
    mode.error(`must be bridge, host or none, not ${quoted(text)}`);
  }
  return "bridge";
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
