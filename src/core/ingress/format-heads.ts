import type { RequestHead } from "./request-head.ts";
import type { ResponseHead } from "./response-head.ts";
import type { Route } from "./route-table.ts";

/** Who asks, and how. */
export interface Client {
  address: string;
  isSecure: boolean;
}

/** The head of the request as the service gets it. What the client claimed of its way is gone. */
export function formatRequest(head: RequestHead, route: Route, client: Client): string {
  const { method, authority, fields, lengthLine, upgrade, isHttp11 } = head;
  const { path, strip } = route.rule;
  const isStripped = strip && path !== "/";
  const target = isStripped ? strippedOf(head.target, path) : head.target;
  // An answer in chunks could not be passed on to a client that does not know them.
  const [version, connection] = isHttp11
    ? ["1.1", upgrade === undefined ? "" : `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`]
    : ["1.0", "Connection: close\r\n"];
  return (
    `${method} ${target} HTTP/${version}\r\nHost: ${authority}\r\n${fields}${lengthLine}` +
    `${connection}X-Forwarded-For: ${client.address}\r\n` +
    `X-Forwarded-Proto: ${client.isSecure ? "https" : "http"}\r\n` +
    `X-Forwarded-Host: ${authority}\r\n` +
    (isStripped ? `X-Forwarded-Prefix: ${path}\r\n\r\n` : "\r\n")
  );
}

/** A path that began with two slashes would be taken for one of another host. */
function strippedOf(target: string, path: string): string {
  return `/${target.slice(path.length).replace(/^\/+/, "")}`;
}

/**
 * The head of the answer as the client gets it.
 * @param added lines of ours
 */
export function formatResponse(
  { status, reason, fields, lengthLine, upgrade }: ResponseHead,
  added: string,
): string {
  const switching = upgrade === undefined ? "" : `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  return `HTTP/1.1 ${status} ${reason}\r\n${fields}${lengthLine}${switching}${added}\r\n`;
}

const REASONS = {
  400: "Bad Request",
  404: "Not Found",
  408: "Request Timeout",
  413: "Content Too Large",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
} as const;
export type OwnStatus = keyof typeof REASONS;

/** An answer of the proxy itself: a line of plain text. */
export function formatOwnAnswer(status: OwnStatus, why: string, keepsAlive: boolean): string {
  const body = `${status} ${REASONS[status]}: ${why}\n`;
  const end = keepsAlive ? "" : "Connection: close\r\n";
  return (
    `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: text/plain\r\n` +
    `Content-Length: ${body.length}\r\nCache-Control: no-store\r\n${end}\r\n${body}`
  );
}

/** Leads to the same address over HTTPS; the method and the body stay what they are. */
export function formatRedirect(head: RequestHead, port: number, keepsAlive: boolean): string {
  const at = port === 443 ? "" : `:${port}`;
  const end = keepsAlive ? "" : "Connection: close\r\n";
  const name = head.authority.replace(/:[0-9]*$/, "");
  return (
    `HTTP/1.1 308 Permanent Redirect\r\nLocation: https://${name}${at}${head.target}\r\n` +
    `Content-Length: 0\r\n${end}\r\n`
  );
}
