import type { ContainerSpec } from "../../model/container.ts";
import type { Resolver } from "../driver.ts";

/** As in Docker: every name is tried as it is written before a domain is put behind it. */
const TRY_AS_WRITTEN = "ndots:0";

type NamesSpec = { dns_server?: string[]; dns_search?: string[]; dns_option?: string[] };

/**
 * What stands in a container's /etc/resolv.conf. With a name server of the node's own a container
 * on the bridge, or in the network of one that is, asks that one alone, which asks the task's `dns`
 * for it, as Docker's does.
 */
export function namesSpecOf(spec: ContainerSpec, resolver: Resolver | undefined): NamesSpec {
  const { dns, dnsSearch, dnsOptions, networkMode } = spec;
  if (resolver === undefined || networkMode === "host" || networkMode === "none") {
    return namesSpec(dns, dnsSearch, dnsOptions);
  }
  const isDecided = dnsOptions.some((option) => option.startsWith("ndots:"));
  return namesSpec(
    [resolver.server],
    dnsSearch.length > 0 ? dnsSearch : resolver.search,
    isDecided ? dnsOptions : [TRY_AS_WRITTEN, ...dnsOptions],
  );
}

/** Podman takes what is absent from the machine. */
function namesSpec(
  servers: readonly string[],
  search: readonly string[],
  options: readonly string[],
): NamesSpec {
  return {
    ...(servers.length === 0 ? {} : { dns_server: [...servers] }),
    ...(search.length === 0 ? {} : { dns_search: [...search] }),
    ...(options.length === 0 ? {} : { dns_option: [...options] }),
  };
}
