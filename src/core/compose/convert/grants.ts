import { isAbsolutePath, normalisePath } from "../../../lib/path.ts";
import type { Mount } from "../../../model/container.ts";
import {
  GRANT_MODE_DEFAULT,
  GRANT_MODE_MAX,
  GRANTS_MAX,
  OWNER_ID_MAX,
  targetPathOf,
  type Grant,
  type ItemKind,
} from "../../../model/item.ts";
import { quoted } from "../problem.ts";
import type { Cursor } from "./cursor.ts";
import { itemNamed, type Items } from "./items.ts";
import { parseMode } from "./units.ts";

const TARGET_LENGTH_MAX = 4096;

/** The secrets and configs that a service reads; undefined for none. */
export function grantsOf(
  service: Cursor,
  items: Items,
  mounts: readonly Mount[],
): Grant[] | undefined {
  const grants: Grant[] = [];
  const targets = new Set(mounts.map(({ target }) => target));
  for (const kind of ["secret", "config"] as const) {
    for (const item of service.get(`${kind}s`)?.items() ?? []) {
      const grant = grantOf(kind, item, items);
      if (grant === undefined) continue;
      if (targets.has(grant.target)) {
        item.error(`puts something at ${quoted(grant.target)} a second time`);
        continue;
      }
      targets.add(grant.target);
      grants.push(grant);
    }
  }
  if (grants.length > GRANTS_MAX) {
    service.errorAtKey(`has more than ${GRANTS_MAX} secrets and configs`);
    return undefined;
  }
  return grants.length === 0 ? undefined : grants;
}

/** `NAME`, or a mapping with `source`. */
function grantOf(kind: ItemKind, at: Cursor, items: Items): Grant | undefined {
  const source = at.isMap ? at.get("source") : at;
  const key = source?.text();
  if (source === undefined || key === undefined) {
    return at.has("source") ? undefined : at.error("needs a source");
  }
  const definition = itemNamed(kind, key, source, items);
  const target = targetOf(kind, at, key);
  const uid = at.get("uid")?.integer(0, OWNER_ID_MAX) ?? 0;
  const gid = at.get("gid")?.integer(0, OWNER_ID_MAX) ?? 0;
  const mode = modeOf(at.get("mode"));
  if (definition === undefined || target === undefined) return undefined;
  return { kind, name: definition.item.name, target, uid, gid, mode };
}

/** Octal digits, `0440`, however they are written. */
function modeOf(cursor: Cursor | undefined): number {
  const mode = cursor?.parsed(parseMode, "must be a file mode, such as 0440");
  if (mode === undefined || mode <= GRANT_MODE_MAX) return mode ?? GRANT_MODE_DEFAULT;
  cursor?.error(`must be a file mode up to 0${GRANT_MODE_MAX.toString(8)}`);
  return GRANT_MODE_DEFAULT;
}

/** By default it is called as in the file. */
function targetOf(kind: ItemKind, at: Cursor, key: string): string | undefined {
  const written = at.isMap ? at.get("target") : undefined;
  const text = written?.text() ?? key;
  const where = written ?? at;
  const path = normalisePath(text);
  if (!isAbsolutePath(text) && (path === "." || path.startsWith(".."))) {
    return where.error(`must name a file, not ${quoted(text)}`);
  }
  const target = targetPathOf(kind, path);
  if (target === "/" || target.length > TARGET_LENGTH_MAX || target.includes("\0")) {
    return where.error(`must name a file, not ${quoted(text)}`);
  }
  return target;
}
