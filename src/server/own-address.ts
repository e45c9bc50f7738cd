import { networkInterfaces } from "node:os";

/** The first address of this machine that others may reach; loopback when it has no other. */
export function ownAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { family, internal, address } of addresses ?? []) {
      if (family === "IPv4" && !internal) return address;
    }
  }
  return "127.0.0.1";
}
