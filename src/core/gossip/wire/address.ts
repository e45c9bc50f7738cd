import { bytesOfHost, isMappedIpv4, textOfIpv6 } from "../../../lib/ip.ts";
import type { Address } from "../messages.ts";

/** The address as text, IPv6 as RFC 5952 says; undefined when it is not 4 or 16 bytes. */
export function hostOfBytes(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return undefined;
  return isMappedIpv4(bytes) ? bytes.subarray(12).join(".") : textOfIpv6(bytes);
}

/** One text for one address: of a sender as the system tells it, or of a person's. */
export function canonicalHost(text: string): string | undefined {
  const bytes = bytesOfHost(text);
  return bytes === undefined ? undefined : hostOfBytes(bytes);
}

/** Whether a member can be reached there; see `isMemberHost`. */
export function isMemberAddress({ host, port }: Address): boolean {
  if (!Number.isInteger(port) || port < 1 || port > 65535) return false;
  return isMemberHost(bytesOfHost(host) ?? new Uint8Array());
}

/**
 * Whether the bytes are one machine's address: no unspecified, multicast or broadcast one, nothing
 * of 0.0.0.0/8 or 240.0.0.0/4.
 */
export function isMemberHost(bytes: Uint8Array): boolean {
  if (bytes.length === 16 && isMappedIpv4(bytes)) return isMemberHost(bytes.subarray(12));
  const [first = 0] = bytes;
  if (bytes.length === 4) return first !== 0 && first < 224;
  return bytes.length === 16 && first !== 0xff && bytes.some((byte) => byte !== 0);
}

/** Whether the address means the machine that looks at it. */
export function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}
