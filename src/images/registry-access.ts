import { isInScope, type RegistryAction, type RegistryScope } from "../model/registry-scope.ts";
import { RegistryError } from "./registry-error.ts";
import type { RegistryRoute } from "./registry-route.ts";

export type Scopes = readonly RegistryScope[];

/** Everything may be pulled. */
export const PULL_ALL: RegistryScope = { repository: "*", actions: ["pull"] };

/** Whether somebody may pull everything, so that no blob is hidden from them. */
export function canSeeAll(scopes: Scopes | undefined): boolean {
  return (
    scopes?.some(({ repository, actions }) => repository === "*" && actions.includes("pull")) ??
    true
  );
}

/** @throws RegistryError `DENIED` when none of the scopes lets somebody ask this */
export function requireScope(scopes: Scopes, method: string, route: RegistryRoute): void {
  if (route.kind === "version") return;
  const action = actionOf(method, route);
  if (isInScope(scopes, action, route.repository)) return;
  const message = `the token does not let you ${action} ${route.repository}: ask for one that does`;
  throw new RegistryError("DENIED", message);
}

function actionOf(method: string, { kind }: RegistryRoute): RegistryAction {
  if (kind === "upload") return "push";
  if (method === "GET" || method === "HEAD") return "pull";
  return method === "DELETE" ? "delete" : "push";
}
