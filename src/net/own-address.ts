import { networkInterfaces } from "node:os";
import type { Clock, Timer } from "../lib/clock.ts";
import { readRouteTable } from "./routes.ts";

/** Interfaces of container networks: nobody outside reaches this machine by their addresses. */
const INTERNAL = /^(orchd|podman|cni|docker|br-|veth|virbr)/;
const LOOK_EVERY_MS = 5000;

/** One IPv4 address of this machine. */
export interface OwnAddress {
  interfaceName: string;
  address: string;
}

/** The addresses by which other machines may reach this one, the likeliest first. */
export function ownAddresses(): OwnAddress[] {
  const found = Object.entries(networkInterfaces()).flatMap(([interfaceName, entries]) =>
    INTERNAL.test(interfaceName)
      ? []
      : (entries ?? [])
          .filter(({ family, internal }) => family === "IPv4" && !internal)
          .map(({ address }) => ({ interfaceName, address })),
  );
  return sortByRoute(found, readRouteTable());
}

/** The likeliest of `ownAddresses`; loopback when there is none. */
export function ownAddress(): string {
  return ownAddresses()[0]?.address ?? "127.0.0.1";
}

/**
 * Calls `onChange` with the machine's own address whenever it is another than before: after a move
 * to another network, or when DHCP gave a new one. Answers how to stop.
 */
export function watchOwnAddress(clock: Clock, onChange: (address: string) => void): () => void {
  let known = ownAddress();
  let timer: Timer;
  const look = () => {
    timer = clock.after(LOOK_EVERY_MS, look);
    const found = ownAddress();
    // Without a link there is no address for a while; the old one is as good as none.
    if (found === known || found === "127.0.0.1") return;
    known = found;
    onChange(found);
  };
  timer = clock.after(LOOK_EVERY_MS, look);
  return () => timer.cancel();
}

/**
 * The interface with the default route first, that of the smallest metric among several.
 * @param routes the text of /proc/net/route
 */
export function sortByRoute(addresses: readonly OwnAddress[], routes: string): OwnAddress[] {
  const metrics = new Map<string, number>();
  for (const line of routes.split("\n").slice(1)) {
    const [interfaceName = "", destination, , , , , metric] = line.trim().split(/\s+/);
    if (destination !== "00000000") continue;
    const known = metrics.get(interfaceName) ?? Infinity;
    metrics.set(interfaceName, Math.min(known, Number(metric)));
  }
  const rankOf = ({ interfaceName }: OwnAddress) => metrics.get(interfaceName) ?? Infinity;
  return [...addresses].sort((a, b) => compareRanks(rankOf(a), rankOf(b)));
}

function compareRanks(a: number, b: number): number {
  return a === b ? 0 : a - b;
}
