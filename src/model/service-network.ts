import { defaultNetworkOf, type Attachment } from "./attachment.ts";
import { specOf, type Service, type ServiceSpec } from "./service.ts";

/** The networks that tasks of this spec are in; none where they have no network of their own. */
export function attachmentsOf(
  stack: string,
  { container, networks }: Pick<ServiceSpec, "container" | "networks">,
): readonly Attachment[] {
  if (container.networkMode !== "bridge") return [];
  if (networks.length > 0) return networks;
  return [{ network: defaultNetworkOf(stack), aliases: [], internal: false }];
}

/** Whether one address is to stand for all tasks of the service. */
export function wantsVirtualIp(service: Service): boolean {
  const { container, endpointMode } = specOf(service);
  return container.networkMode === "bridge" && endpointMode !== "dnsrr";
}
