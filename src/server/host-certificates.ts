import type { Clock } from "../lib/clock.ts";
import { isServersOwn } from "../model/ingress-rule.ts";
import type { HostCertificatesAnswer, HostCertificatesRequest } from "../model/join.ts";
import { specOf } from "../model/service.ts";
import { keyInRequest } from "../pki/request.ts";
import type { Store } from "../store/store.ts";
import { authorityIn } from "./cluster-keys.ts";

/**
 * Certificates for hosts of the ingress, of a key that a node made for that: it never leaves the
 * node. A host that no service wants to be certified gets none, so that what clients ask nodes for
 * can't make certificates.
 * @throws OrchdError `invalid` when the request's key is none that can be certified
 */
export async function certifyHosts(
  store: Store,
  clock: Clock,
  { csr, hosts }: HostCertificatesRequest,
): Promise<HostCertificatesAnswer> {
  const publicKey = await keyInRequest(csr);
  const view = store.view();
  const wanted = new Set<string>();
  for (const service of view.services.values()) {
    for (const { host, tls } of specOf(service).ingress ?? []) {
      if (tls === "cluster" && !isServersOwn(host)) wanted.add(host);
    }
  }
  const authority = authorityIn(view);
  const certificates: HostCertificatesAnswer["certificates"] = [];
  for (const host of new Set(hosts)) {
    if (!wanted.has(host)) continue;
    const certificate = await authority.issueIngress(host, publicKey, clock.now());
    certificates.push({ host, certificate });
  }
  return { certificates };
}
