import type { Port } from "../../model/service.ts";

/** `8080->80/tcp, 53->53/udp`: the published ones, as people look for them. */
export function formatPorts(ports: readonly Port[]): string {
  return ports
    .filter((port) => port.published !== 0)
    .map((port) => {
      const host = port.hostIp === undefined ? "" : `${bracket(port.hostIp)}:`;
      return `${host}${port.published}->${port.target}/${port.protocol}`;
    })
    .join(", ");
}

/** Published ports, and where people find the service by name. */
export function formatPlaces(of: { ports: readonly Port[]; urls?: string[] | undefined }): string {
  const places = [formatPorts(of.ports), ...(of.urls ?? [])].filter((place) => place !== "");
  return places.join(", ") || "-";
}

/** Where a published port answers on this machine: `127.0.0.1:8080`. */
export function formatAddress(port: Port): string {
  const anywhere = port.hostIp === undefined || port.hostIp === "0.0.0.0" || port.hostIp === "::";
  const host = anywhere ? "127.0.0.1" : bracket(port.hostIp ?? "");
  return `${host}:${port.published}${port.protocol === "udp" ? "/udp" : ""}`;
}

function bracket(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
