import type { Clock } from "../lib/clock.ts";
import { sortedBy } from "../lib/order.ts";
import { filesKeyOf, isServersOwn, type IngressRule } from "../model/ingress-rule.ts";
import type { ContentRef } from "../model/item.ts";
import type { HostCertificatesAnswer, HostCertificatesRequest } from "../model/join.ts";
import { specOf } from "../model/service.ts";
import { keyInRequest } from "../pki/request.ts";
import type { Store } from "../store/store.ts";
import { authorityIn } from "./cluster-keys.ts";
import { givenCredentials } from "./ingress-files.ts";

export interface CertifyDeps {
  store: Store;
  clock: Clock;
  /** What a version of an item holds; undefined when it is gone, or secrets are locked. */
  contentOf: (ref: ContentRef) => Uint8Array | undefined;
}

/**
 * Certificates for hosts of the ingress, of a key that a node made for that: it never leaves the
 * node. Where people gave a certificate, that one with its key. A host that no service wants to be
 * certified gets none, so that what clients ask nodes for can't make certificates.
 * @throws OrchdError `invalid` when the request's key is none that can be certified
 */
export async function certifyHosts(
  { store, clock, contentOf }: CertifyDeps,
  { csr, hosts }: HostCertificatesRequest,
): Promise<HostCertificatesAnswer> {
  const publicKey = await keyInRequest(csr);
  const view = store.view();
  const services = sortedBy(view.services.values(), ({ id }) => id);
  const wanted = new Map<string, IngressRule>();
  for (const rule of services.flatMap((service) => specOf(service).ingress ?? [])) {
    if (rule.tls === "off" || isServersOwn(rule.host)) continue;
    // As nodes have it: the first that names files counts.
    if (wanted.get(rule.host)?.tls !== "file") wanted.set(rule.host, rule);
  }
  const authority = authorityIn(view);
  const certificates: HostCertificatesAnswer["certificates"] = [];
  for (const host of new Set(hosts)) {
    const rule = wanted.get(host);
    if (rule === undefined) continue;
    const given = rule.files && givenCredentials(rule.files, contentOf);
    const files = filesKeyOf(rule);
    if (given !== undefined && files !== undefined) {
      certificates.push({ host, certificate: given.certificate, given: { key: given.key, files } });
    }
    if (rule.tls !== "cluster") continue;
    const certificate = await authority.issueIngress(host, publicKey, clock.now());
    certificates.push({ host, certificate });
  }
  return { certificates };
}
