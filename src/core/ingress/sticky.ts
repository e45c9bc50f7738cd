import type { Route } from "./route-table.ts";

/** The id of the task that the client was sent to before; undefined when it tells of none. */
export function stickyTask(route: Route, cookie: string): string | undefined {
  const name = `${nameOf(route)}=`;
  let at = cookie.indexOf(name);
  while (at > 0 && cookie[at - 1] !== " " && cookie[at - 1] !== ";") {
    at = cookie.indexOf(name, at + 1);
  }
  if (at < 0) return undefined;
  const from = at + name.length;
  const end = cookie.indexOf(";", from);
  return cookie.slice(from, end < 0 ? undefined : end).trim();
}

/** The line that makes a client come back to the task; ids of tasks say nothing of them. */
export function stickyLine(route: Route, taskId: string, isSecure: boolean): string {
  const { path } = route.rule;
  const secure = isSecure ? "; Secure" : "";
  const attributes = `Path=${path}; HttpOnly; SameSite=Lax${secure}`;
  return `Set-Cookie: ${nameOf(route)}=${taskId}; ${attributes}\r\n`;
}

/** A host may have several services, each with its own cookie. */
function nameOf({ serviceId }: Route): string {
  return `orchd-${serviceId}`;
}
