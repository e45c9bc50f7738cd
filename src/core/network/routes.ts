import { ROUTE_METRIC } from "./links.ts";
import { formatSubnet, overlaps, parseSubnet, type Subnet } from "./address.ts";

/** A route of this machine that is not orchd's own. */
export interface Route {
  interfaceName: string;
  subnet: Subnet;
}

const OWN = /^orchd/;
const REJECT = 0x200;
/** What is offered in the place of a range that is taken. */
const RANGES = ["10.210.0.0/16", "10.99.0.0/16", "172.30.0.0/16", "192.168.224.0/19"];

/**
 * What this machine routes: neither the default route, which leads everywhere, nor what is refused,
 * nor what orchd made.
 * @param text of /proc/net/route (proc_net(5)): addresses are hexadecimal, the first byte last
 */
export function parseRoutes(text: string): Route[] {
  const routes: Route[] = [];
  for (const line of text.split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [interfaceName = "", to = "", , flags = "", , , metric, mask = ""] = fields;
    if (OWN.test(interfaceName) || Number(metric) === ROUTE_METRIC) continue;
    if ((Number.parseInt(flags, 16) & REJECT) !== 0) continue;
    const [base, bits] = [parseHex(to), parseHex(mask)];
    if (base === undefined || bits === undefined || bits === 0) continue;
    const prefix = bits.toString(2).replaceAll("0", "").length;
    routes.push({ interfaceName, subnet: { base, prefix } });
  }
  return routes;
}

/** What is in the way of a range, and a range that nothing is in the way of. */
export interface RangeConflict {
  subnet: string;
  device: string;
  free?: string;
}

/** Which of these routes of a machine leads elsewhere with addresses of the range. */
export function findConflict(range: string, routes: readonly Route[]): RangeConflict | undefined {
  const found = routes.find(({ subnet }) => isTaken(range, subnet));
  if (found === undefined) return undefined;
  const free = RANGES.find((one) => routes.every((route) => !isTaken(one, route.subnet)));
  const conflict = { subnet: formatSubnet(found.subnet), device: found.interfaceName };
  return free === undefined ? conflict : { ...conflict, free };
}

/** Why the range can't be had on a machine with these routes, in one sentence. */
export function conflictOf(range: string, routes: readonly Route[]): string | undefined {
  const found = findConflict(range, routes);
  if (found === undefined) return undefined;
  const other = found.free === undefined ? "" : `, such as ${found.free}`;
  return (
    `this machine routes ${found.subnet} by ${found.device} already, which overlaps ` +
    `${range}, the range of the cluster: choose another with --cluster-range when the cluster ` +
    `is made${other}`
  );
}

function isTaken(range: string, subnet: Subnet): boolean {
  const parsed = parseSubnet(range);
  return parsed !== undefined && overlaps(parsed, subnet);
}

function parseHex(text: string): number | undefined {
  if (!/^[0-9A-F]{8}$/i.test(text)) return undefined;
  const bytes = text.match(/../g)?.toReversed().join("") ?? "";
  return Number.parseInt(bytes, 16);
}
