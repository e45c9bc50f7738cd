import { bytesOfHost, textOfIpv6 } from "../../lib/ip.ts";

/*
 * The IPv6 addresses of a cluster. Each is the cluster's own /96 network with an IPv4 address of
 * the cluster in its last four bytes, so that whoever knows the one knows the other.
 */

/** Of IPv4, and that in which the same has an IPv6 address, where there is one. */
interface Ranges {
  range: string;
  range6?: string | undefined;
}

const PREFIX = 96;
const BYTES = PREFIX / 8;
/** Nobody else gives these out: 40 bits of them are drawn at random (RFC 4193, section 3.2). */
const UNIQUE_LOCAL = 0xfd;
export const UNIQUE_BYTES = 5;

/** The network of a new cluster, `fdxx:xxxx:xxxx::/96`. @param random `UNIQUE_BYTES` bytes */
export function newRange6(random: Uint8Array): string {
  const bytes = new Uint8Array(16);
  bytes[0] = UNIQUE_LOCAL;
  bytes.set(random, 1);
  return `${textOfIpv6(bytes)}/${PREFIX}`;
}

/** The IPv6 address that goes with one of IPv4. */
export function address6Of(range6: string, address: string): string {
  const bytes = Uint8Array.from(baseOf(range6));
  bytes.set(bytesOf(address), BYTES);
  return textOfIpv6(bytes);
}

/** The network that goes with one of IPv4: of `10.210.1.0/24` one of 120 bits. */
export function subnet6Of(range6: string, subnet: string): string {
  const [address = "", prefix] = subnet.split("/");
  return `${address6Of(range6, address)}/${PREFIX + Number(prefix)}`;
}

/** All addresses of a cluster's tasks and services: one network, or one of each kind. */
export function rangesOf({ range, range6 }: Ranges): string[] {
  return range6 === undefined ? [range] : [range, subnet6Of(range6, range)];
}

/** The IPv4 address that an IPv6 one of the cluster goes with; undefined for one of others. */
export function address4Of(range6: string, address: string): string | undefined {
  const [base, bytes] = [baseOf(range6), bytesOfHost(address)];
  if (bytes?.length !== 16) return undefined;
  if (bytes.subarray(0, BYTES).some((byte, i) => byte !== base[i])) return undefined;
  return bytes.subarray(BYTES).join(".");
}

function baseOf(range6: string): Uint8Array {
  return bytesOf(range6.slice(0, range6.indexOf("/")));
}

/** Of an address that was checked where it came from. */
function bytesOf(address: string): Uint8Array {
  const bytes = bytesOfHost(address);
  if (bytes === undefined) throw new Error(`${address} is no address`);
  return bytes;
}
