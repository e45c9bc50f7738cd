import { readFileSync } from "node:fs";
import { parseRoutes, type Route } from "../core/network/routes.ts";

/** The routes of this machine but for orchd's own; none where they can't be read. */
export function ownRoutes(): Route[] {
  return parseRoutes(readRouteTable());
}

/** The kernel's main table, as text. */
export function readRouteTable(): string {
  try {
    return readFileSync("/proc/net/route", "utf8");
  } catch {
    // Not readable in some sandboxes: then nothing is known of routes.
    return "";
  }
}
