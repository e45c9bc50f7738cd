import { isInRange, parseIpRange } from "../../lib/ip.ts";

/** RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291. */
const RANGES = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "127.0.0.0/8",
  "fc00::/7",
  "fe80::/10",
  "::1",
].flatMap((text) => parseIpRange(text) ?? []);

/** Whether the internet has no way to the address. */
export function isPrivateAddress(address: string): boolean {
  return RANGES.some((range) => isInRange(address, range));
}
