import { systemCodeOf } from "../lib/errors.ts";
import {
  attributesOf,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  openNetlink,
  streamNetlink,
  textOf,
  type NetlinkMessage,
  type NetlinkSocket,
} from "./netlink.ts";
import { ROUTE_PROTOCOL } from "../core/network/links.ts";

/** Of `rtnetlink.h`: groups, then messages. */
const LINKS_AND_ROUTES = 0x1 | 0x40 | 0x400;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_DELROUTE = 25;
const IFLA_IFNAME = 3;
const IFLA_MASTER = 10;
/** Of `nfnetlink.h` and `nf_tables.h`. */
const NFT_CHANGES = 1 << 6;
const NFT_NEWGEN = (10 << 8) | 15;
const NFTA_TABLE = 1;

interface Reader {
  read(): Promise<{ done: boolean }>;
  cancel(): Promise<void>;
}

/** What has happened to the kernel's network since one last looked. */
export interface KernelNews {
  /** A device of ours, a port of a bridge, or a route of ours has come, gone or changed. */
  links: boolean;
  /** So many transactions have touched our tables, whoever made them; undefined: nobody knows. */
  transactions: number | undefined;
}

/** Hears of changes to the network that anybody makes, at the cost of two calls for each look. */
export class KernelWatch {
  readonly #routes: NetlinkSocket;
  readonly #rules: NetlinkSocket;
  /** A transaction that is not yet told to its end has touched our table. */
  #isTouched = false;

  private constructor(routes: NetlinkSocket, rules: NetlinkSocket) {
    this.#routes = routes;
    this.#rules = rules;
  }

  /** @throws OrchdError `runtime` when the kernel does not tell */
  static async open(): Promise<KernelWatch> {
    const routes = await openNetlink(NETLINK_ROUTE, LINKS_AND_ROUTES);
    return new KernelWatch(routes, await openNetlink(NETLINK_NETFILTER, NFT_CHANGES));
  }

  look(): KernelNews {
    const links = this.#routes.receive()?.some(isOurs) ?? true;
    const rules = this.#rules.receive();
    if (rules !== undefined) return { links, transactions: this.#count(rules) };
    this.#isTouched = false;
    return { links, transactions: undefined };
  }

  close(): void {
    this.#routes.close();
    this.#rules.close();
  }

  /** A transaction is told change by change, and last that it is done. */
  #count(messages: readonly NetlinkMessage[]): number {
    let count = 0;
    for (const { type, body } of messages) {
      if (type === NFT_NEWGEN) {
        if (this.#isTouched) count++;
        this.#isTouched = false;
      } else if (!this.#isTouched) {
        this.#isTouched = textOf(attributesOf(body, 4).get(NFTA_TABLE)) === "orchd";
      }
    }
    return count;
  }
}

function isOurs({ type, body }: NetlinkMessage): boolean {
  if (type === RTM_DELROUTE) return body[5] === ROUTE_PROTOCOL;
  if (type !== RTM_NEWLINK && type !== RTM_DELLINK) return false;
  const attributes = attributesOf(body, 16);
  return attributes.has(IFLA_MASTER) || textOf(attributes.get(IFLA_IFNAME)).startsWith("orchd");
}

/**
 * Calls whenever somebody changes devices, routes or rules, and costs nothing in between. What it
 * was is for the watch to tell: that reads at a moment of its own choice, so that it knows to have
 * heard of all that was done before.
 */
export class KernelBell {
  readonly #onChange: () => void;
  readonly #readers = new Set<Reader>();
  #isClosed = false;

  private constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** @throws OrchdError `runtime` when the kernel does not tell */
  static async open(onChange: () => void): Promise<KernelBell> {
    const bell = new KernelBell(onChange);
    try {
      await bell.#hang(NETLINK_ROUTE, LINKS_AND_ROUTES);
      await bell.#hang(NETLINK_NETFILTER, NFT_CHANGES);
    } catch (error) {
      bell.close();
      throw error;
    }
    return bell;
  }

  close(): void {
    this.#isClosed = true;
    for (const reader of this.#readers) void reader.cancel();
    this.#readers.clear();
  }

  async #hang(protocol: number, groups: number): Promise<void> {
    const { stream, close } = await streamNetlink(protocol, groups);
    if (this.#isClosed) return close();
    const reader: Reader = stream.getReader();
    this.#readers.add(reader);
    void this.#listen(reader).then(async (isFlooded) => {
      this.#readers.delete(reader);
      close();
      // Without it, changes are found at the next look.
      if (isFlooded) await this.#hang(protocol, groups).catch(() => undefined);
    });
  }

  /** Resolves at the end: whether that came of more news than the kernel keeps. */
  async #listen(reader: Reader): Promise<boolean> {
    try {
      while (!(await reader.read()).done) if (!this.#isClosed) this.#onChange();
      return false;
    } catch (error) {
      if (this.#isClosed) return false;
      this.#onChange();
      return systemCodeOf(error) === "ENOBUFS";
    }
  }
}
