import { z } from "zod";
import { bytesOfHost } from "../lib/ip.ts";
import type { Parsed } from "../lib/parsed.ts";
import { contentIdOf, contentRefSchema, itemKindSchema, itemNameSchema } from "./item.ts";
import { SERVER_NAME } from "./server-address.ts";

/** Rules of one service. */
export const INGRESS_RULES_MAX = 64;
export const INGRESS_PATH_MAX = 1024;
/** One day. */
export const INGRESS_TIMEOUT_MAX_MS = 86_400_000;
export const INGRESS_TIMEOUT_MS = 60_000;

/** Stands for every host that no other rule names. */
export const ANY_HOST = "*";

/** A secret or config with a part of what a host is proved by. */
const ingressFileSchema = z.object({
  kind: itemKindSchema,
  /** Its name in the cluster. */
  name: itemNameSchema,
  /** Which version of it: the cluster's to fill in, when the stack is applied. */
  content: contentRefSchema.optional(),
});
export type IngressFile = z.infer<typeof ingressFileSchema>;

/** Requests for a host and a path that go to a service, on port 80 or 443 of every node. */
export const ingressRuleSchema = z.object({
  /** In lower case: `shop.example.org`, `*.example.org` for one label more, an address, `*`. */
  host: z.string().max(253),
  /** Begins with `/`, and ends with none unless it is all: `/`, `/api`. */
  path: z.string().max(INGRESS_PATH_MAX),
  /** The port that tasks of the service take requests on. */
  port: z.int().min(1).max(65_535),
  /** Whether the service sees paths without `path`. */
  strip: z.boolean(),
  /** Where its certificate comes from; with `off` it is reached over plain HTTP alone. */
  tls: z.enum(["cluster", "file", "off"]),
  /** With `file`: the certificate, with those behind it, and its key; both PEM. */
  files: z.object({ certificate: ingressFileSchema, key: ingressFileSchema }).optional(),
  /** Whether who comes over plain HTTP is sent to HTTPS. */
  redirect: z.boolean(),
  /** Whether a client's requests go to the same task while that is ready, by a cookie. */
  sticky: z.boolean(),
  /** The largest body of a request, in bytes; absent means any. */
  maxBodyBytes: z.int().min(0).optional(),
  /** For how long the service may be silent before its answer begins, in milliseconds. */
  timeoutMs: z.int().min(1).max(INGRESS_TIMEOUT_MAX_MS),
});
export type IngressRule = z.infer<typeof ingressRuleSchema>;

const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const HOST_PATTERN = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*$`);

const SEGMENT = "[A-Za-z0-9._~!$&'()+,;=:@-]+";
const PATH_PATTERN = new RegExp(`^/(?:${SEGMENT}(?:/${SEGMENT})*)?$`);

/** The host as rules name it, or why it is none, in words that follow `host`. */
export function parseIngressHost(text: string): Parsed<string> {
  const host = text.toLowerCase().replace(/\.$/, "");
  if (host === ANY_HOST || bytesOfHost(host)?.length === 4) return { ok: true, value: host };
  if (host.length > 253 || !HOST_PATTERN.test(host)) {
    const forms = "shop.example.org or *.example.org";
    return { ok: false, problem: `must be a host name without a port, such as ${forms}` };
  }
  if (isServersOwn(host)) {
    return { ok: false, problem: "is a name of the cluster's own servers; choose another one" };
  }
  return { ok: true, value: host };
}

/** Whether a certificate for the host would be good for answering agents in a server's name. */
export function isServersOwn(host: string): boolean {
  return host === SERVER_NAME || host === wildcardOf(SERVER_NAME);
}

/** `*.example.org` of `shop.example.org`; undefined for a name of one label. */
export function wildcardOf(host: string): string | undefined {
  const dot = host.indexOf(".");
  return dot < 0 ? undefined : `*${host.slice(dot)}`;
}

/** Whether a certificate can be for the host. */
export function isCertifiable(host: string): boolean {
  return host !== ANY_HOST && bytesOfHost(host) === undefined;
}

/** The path as rules name it, or why it is none, in words that follow `path`. */
export function parseIngressPath(text: string): Parsed<string> {
  const path = text.replace(/(?<=[^/])\/$/, "");
  const hasDots = path.split("/").some((segment) => segment === "." || segment === "..");
  if (path.length > INGRESS_PATH_MAX || !PATH_PATTERN.test(path) || hasDots) {
    return {
      ok: false,
      problem: "must be a path such as /api, of plain letters, digits and marks",
    };
  }
  return { ok: true, value: path };
}

/** What of the cluster a rule is about: no two services have the same. */
export function keyOfRule({ host, path }: Pick<IngressRule, "host" | "path">): string {
  return `${host}${path}`;
}

/**
 * Which files prove a rule's host, in their versions; undefined where none do. With others it is
 * another text.
 */
export function filesKeyOf({ tls, files }: IngressRule): string | undefined {
  const [certificate, key] = [files?.certificate.content, files?.key.content];
  if (tls !== "file" || certificate === undefined || key === undefined) return undefined;
  return `${contentIdOf(certificate)} ${contentIdOf(key)}`;
}
