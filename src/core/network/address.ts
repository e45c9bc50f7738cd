/** An IPv4 network, as numbers. */
export interface Subnet {
  base: number;
  prefix: number;
}

/** Reads `10.210.1.0/24`; undefined when it is not an IPv4 network of at most 30 bits. */
export function parseSubnet(text: string): Subnet | undefined {
  const match = /^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\/(\d{1,2})$/.exec(text);
  const address = parseAddress(match?.[1] ?? "");
  const prefix = Number(match?.[2]);
  if (address === undefined || !(prefix >= 8 && prefix <= 30)) return undefined;
  const size = 2 ** (32 - prefix);
  return { base: address - (address % size), prefix };
}

/** The first address, which is the node's own on its bridge. */
export function gatewayOf(subnet: Subnet): string {
  return formatAddress(subnet.base + 1);
}

/**
 * The next address that no task holds, or undefined when all are taken. It goes round: an address
 * that was just given back, or that somebody else turned out to hold, is not the next one.
 * @param after the address that was given last
 */
export function freeAddress(
  subnet: Subnet,
  taken: ReadonlySet<string>,
  after?: string,
): string | undefined {
  const first = subnet.base + 2;
  const count = 2 ** (32 - subnet.prefix) - 3;
  const last = after === undefined ? undefined : parseAddress(after);
  const start = last === undefined || last < first ? 0 : last - first + 1;
  for (let i = 0; i < count; i++) {
    const text = formatAddress(first + ((start + i) % count));
    if (!taken.has(text)) return text;
  }
  return undefined;
}

/** Whether the two have an address in common. */
export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);
}

/** Whether an address, such as `10.210.1.5`, is one of the network's. */
export function isWithin(subnet: Subnet, address: string): boolean {
  const parsed = parseAddress(address);
  return parsed !== undefined && parsed >= subnet.base && parsed < subnet.base + sizeOf(subnet);
}

/** How many addresses it has, those included that nobody is given. */
export function sizeOf({ prefix }: Subnet): number {
  return 2 ** (32 - prefix);
}

/** `10.210.1.0/24` */
export function formatSubnet({ base, prefix }: Subnet): string {
  return `${formatAddress(base)}/${prefix}`;
}

function parseAddress(text: string): number | undefined {
  // `Number` would read "0x1" and " 1" as well, and not all programs read "01" as 1.
  if (!/^(?:(?:0|[1-9]\d{0,2})(?:\.(?!$)|$)){4}$/.test(text)) return undefined;
  const parts = text.split(".").map(Number);
  if (parts.some((part) => part > 255)) return undefined;
  return parts.reduce((address, part) => address * 256 + part, 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}
