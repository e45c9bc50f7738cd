import { nearest } from "../../../lib/text.ts";
import { ALIASES_MAX } from "../../../model/attachment.ts";
import type { ServiceSpec } from "../../../model/service.ts";
import { quoted } from "../problem.ts";
import { isHostName } from "./addresses.ts";
import type { Cursor } from "./cursor.ts";

interface Link {
  target: string;
  /** Absent where the link gives the service no other name. */
  alias: string | undefined;
  at: Cursor;
}

/** `SERVICE`, or `SERVICE:ALIAS`. */
export function linksOf(service: Cursor): Link[] {
  return (service.get("links")?.items() ?? []).flatMap((at) => {
    const [target = "", alias, ...more] = (at.text() ?? "").split(":");
    const isForm = more.length === 0 && target !== "" && (alias ?? target) !== "";
    if (isForm) return { target, alias: alias === target ? undefined : alias, at };
    at.error(`must be a service, or one with a name for it, such as "db:database"`);
    return [];
  });
}

/**
 * Gives services the names by which others link to them: as aliases in the networks that the two
 * share, since that is where names are looked up.
 */
export function applyLinks(
  all: readonly [string, Cursor][],
  active: ReadonlyMap<string, ServiceSpec>,
): void {
  const names = all.map(([name]) => name);
  for (const [name, cursor] of all) {
    const spec = active.get(name);
    if (spec === undefined) continue;
    for (const link of linksOf(cursor)) applyLink(spec, link, names, active);
  }
}

function applyLink(
  from: ServiceSpec,
  { target, alias, at }: Link,
  names: readonly string[],
  active: ReadonlyMap<string, ServiceSpec>,
): void {
  const linked = active.get(target);
  if (linked === undefined) {
    if (at.findings.incomplete) return;
    const guess = nearest(target, names);
    const hint = guess === undefined || guess === target ? "" : `; did you mean ${guess}?`;
    at.error(
      names.includes(target)
        ? `needs a service that no chosen profile has: choose one of ${target}'s with --profile`
        : `names no service${hint}`,
    );
    return;
  }
  const own = new Set(from.networks.map(({ network }) => network));
  const shared = linked.networks.filter(({ network }) => own.has(network));
  if (shared.length === 0) {
    at.error(`names the service ${quoted(target)}, with which it shares no network`);
    return;
  }
  if (alias === undefined) return;
  if (!isHostName(alias)) {
    at.error(`has the name ${quoted(alias)}, which is no host name`);
    return;
  }
  at.warn(`makes ${alias} a name of ${target} for all services of the networks that they share`);
  for (const attachment of shared) {
    if (attachment.aliases.includes(alias) || attachment.aliases.length >= ALIASES_MAX) continue;
    attachment.aliases.push(alias);
  }
}
