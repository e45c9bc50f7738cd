import type { Parsed } from "../lib/parsed.ts";

/** Where servers answer agents, and people on other machines. */
export const SERVER_PORT = 6770;
/** The name in every server's certificate, whatever the address by which it is reached. */
export const SERVER_NAME = "server.orchd";

/** `host`, `host:port` or `[2001:db8::1]:port`, with the usual port when none is named. */
export function parseServerAddress(text: string): Parsed<string> {
  const plain = text.replace(/\s+/g, "");
  const match =
    /^(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,252})))(?::(\d{1,5}))?$/.exec(plain);
  const [, literal, name = "", port = String(SERVER_PORT)] = match ?? [];
  if (match === null || Number(port) > 65_535 || Number(port) === 0) {
    const forms = "write it like 192.0.2.1:6770, server.example:6770 or [2001:db8::1]:6770";
    return { ok: false, problem: `${JSON.stringify(plain)} is no address of a server: ${forms}` };
  }
  return { ok: true, value: formatServerAddress(literal ?? name, Number(port)) };
}

/** `host:port`; an IPv6 address stands in brackets. */
export function formatServerAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Splits what `formatServerAddress` made. */
export function splitServerAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return { host, port: Number(address.slice(colon + 1)) };
}
