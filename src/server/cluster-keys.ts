import { X509Certificate } from "node:crypto";
import { assert } from "../lib/assert.ts";
import type { Cluster } from "../model/cluster.ts";
import type { View } from "../model/view.ts";
import { Authority } from "../pki/authority.ts";
import { digestOfCertificate } from "../pki/digest.ts";

/** A server that answers anybody has made its cluster before. */
export function clusterIn(view: View): Cluster {
  assert(view.cluster !== undefined, "a server makes its cluster before it answers anybody");
  return view.cluster;
}

/** The cluster's authority, to sign with. */
export function authorityIn(view: View): Authority {
  const { caCertificate, caKey } = clusterIn(view);
  return new Authority({ certificate: caCertificate, key: caKey });
}

/** What stands in every token of the cluster. */
export function caDigestIn(view: View): string {
  return digestOfCertificate(new X509Certificate(clusterIn(view).caCertificate));
}
