import {
  ANY_HOST,
  INGRESS_RULES_MAX,
  INGRESS_TIMEOUT_MAX_MS,
  INGRESS_TIMEOUT_MS,
  type IngressFile,
  type IngressRule,
  isCertifiable,
  keyOfRule,
  parseIngressHost,
  parseIngressPath,
} from "../../../model/ingress-rule.ts";
import type { ServiceSpec } from "../../../model/service.ts";
import type { Parsed } from "../../../lib/parsed.ts";
import { quoted } from "../problem.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";
import type { ItemKind } from "../../../model/item.ts";
import { itemNamed, type Items } from "./items.ts";
import { networkOwnerOf } from "./network.ts";
import type { PlacedPort } from "./ports.ts";

const PORT_MAX = 65_535;

/** `x-orchd.ingress`, one rule or several: undefined where no requests come to it that way. */
export function ingressOf(
  service: Cursor,
  ports: readonly PlacedPort[],
  items: Items,
): ServiceSpec["ingress"] {
  const given = service.get("x-orchd")?.get("ingress");
  if (given === undefined) return undefined;
  const mode = service.get("network_mode")?.text() ?? "bridge";
  if (mode === "host" || mode === "none" || networkOwnerOf(service) !== undefined) {
    return given.error(`needs tasks with an address of their own, not network_mode ${mode}`);
  }
  const rules = given.isMap ? [given] : given.items();
  if (rules.length > INGRESS_RULES_MAX) return given.error(`has over ${INGRESS_RULES_MAX} rules`);
  const usual = usualPort(service, ports);
  const seen = new Set<string>();
  return rules.flatMap((at) => {
    const rule = ruleOf(at, usual, items);
    if (rule === undefined) return [];
    const key = keyOfRule(rule);
    if (seen.has(key)) at.error(`is about ${quoted(key)} a second time`);
    seen.add(key);
    return [rule];
  });
}

/** The first port that the service publishes, or else exposes. */
function usualPort(service: Cursor, ports: readonly PlacedPort[]): number | undefined {
  const published = ports.find(({ port }) => port.protocol === "tcp");
  if (published !== undefined) return published.port.target;
  const exposed = service.get("expose")?.items() ?? [];
  const texts = exposed.map((item) => /^(\d{1,5})(?:\/tcp)?$/.exec(item.text() ?? "")?.[1]);
  const first = texts.find((text) => text !== undefined);
  return first === undefined ? undefined : Number(first);
}

function ruleOf(at: Cursor, usual: number | undefined, items: Items): IngressRule | undefined {
  const host = partOf(at.get("host"), parseIngressHost);
  const path = at.has("path") ? partOf(at.get("path"), parseIngressPath) : "/";
  const port = at.has("port") ? at.get("port")?.integer(1, PORT_MAX) : usual;
  if (port === undefined && !at.has("port")) {
    at.error("needs a port, since the service publishes and exposes none over TCP");
  }
  const tls = tlsOf(at, host);
  const redirect = at.get("redirect")?.flag() ?? false;
  if (redirect && tls === "off") {
    at.get("redirect")?.error("has nowhere to lead without tls: set tls: cluster");
  }
  const files = filesOf(at, tls, items);
  const maxBodyBytes = at.get("max_body")?.bytes();
  const rule = {
    strip: at.get("strip")?.flag() ?? false,
    tls,
    redirect,
    sticky: at.get("sticky")?.flag() ?? false,
    ...withoutUndefined({ files, maxBodyBytes }),
    timeoutMs: timeoutOf(at.get("timeout")),
  };
  if (host === undefined || path === undefined || port === undefined) return undefined;
  return { host, path, port, ...rule };
}

function partOf(at: Cursor | undefined, parse: (text: string) => Parsed<string>) {
  const text = at?.text();
  if (at === undefined || text === undefined) return undefined;
  const parsed = parse(text.trim());
  return parsed.ok ? parsed.value : at.error(`${parsed.problem}, not ${quoted(text)}`);
}

function tlsOf(at: Cursor, host: string | undefined): IngressRule["tls"] {
  const given = at.get("tls");
  const text = given?.text() ?? "off";
  if (given === undefined || text === "off") return "off";
  if (text !== "cluster" && text !== "file") {
    given.error(`must be cluster, file or off, not ${quoted(text)}`);
    return "off";
  }
  if (host !== undefined && !isCertifiable(host)) {
    const what = host === ANY_HOST ? "every host" : `the address ${host}`;
    given.error(`can't be ${text} for ${what}: a certificate is for a host name`);
  }
  return text;
}

/** The secrets or configs that hold a given certificate and its key. */
function filesOf(at: Cursor, tls: IngressRule["tls"], items: Items): IngressRule["files"] {
  const [certificate, key] = [at.get("certificate"), at.get("key")];
  if (tls !== "file") {
    for (const part of [certificate, key]) part?.error("has no effect without tls: file");
    return undefined;
  }
  if (certificate === undefined || key === undefined) {
    return at.error("needs certificate and key with tls: file, each the name of a secret");
  }
  const isConfig = items.keys.get("config")?.has(certificate.text() ?? "") === true;
  const isSecret = items.keys.get("secret")?.has(certificate.text() ?? "") === true;
  const proof = fileOf(isConfig && !isSecret ? "config" : "secret", certificate, items);
  const secret = fileOf("secret", key, items);
  return proof === undefined || secret === undefined
    ? undefined
    : { certificate: proof, key: secret };
}

function fileOf(kind: ItemKind, at: Cursor, items: Items): IngressFile | undefined {
  const definition = itemNamed(kind, at.text() ?? "", at, items);
  if (definition === undefined) return undefined;
  const { name, isTemplate } = definition.item;
  if (isTemplate) return at.error("names a template, which is filled in for tasks alone");
  return { kind, name };
}

function timeoutOf(at: Cursor | undefined): number {
  const ms = at?.durationMs();
  if (ms === undefined) return INGRESS_TIMEOUT_MS;
  if (ms >= 1 && ms <= INGRESS_TIMEOUT_MAX_MS) return ms;
  at?.error("must be a time from 1ms to 24h");
  return INGRESS_TIMEOUT_MS;
}

/** Refuses rules that two services of the stack have. */
export function refuseSharedRules(
  all: readonly (readonly [name: string, service: Cursor])[],
  services: ReadonlyMap<string, ServiceSpec>,
): void {
  const owners = new Map<string, string>();
  for (const [name, service] of all) {
    for (const rule of services.get(name)?.ingress ?? []) {
      const key = keyOfRule(rule);
      const owner = owners.get(key);
      if (owner === undefined) owners.set(key, name);
      else if (owner !== name) {
        const message = `takes ${quoted(key)}, which the service ${quoted(owner)} takes already`;
        service.get("x-orchd")?.get("ingress")?.error(message);
      }
    }
  }
}
