import { isInRange, parseIpRange, type IpRange } from "../../lib/ip.ts";
import { randomBelow, type Random } from "../../lib/random.ts";
import type { NodeId, TaskId } from "../../model/ids.ts";
import type { NetworkMap } from "../../model/network-map.ts";
import type { Port } from "../../model/service.ts";
import { gatewayOf, parseSubnet } from "./address.ts";
import { address4Of, address6Of } from "./address6.ts";
import { indexZone, type ZoneIndex } from "./zone-index.ts";
import { meaningOf, nameOfService, nameOfTask, readyTasks, ZONE } from "./zone-names.ts";
import type { Meaning } from "./zone-names.ts";
import { scopeOf, sharesOne, networksOf, type Scope } from "./zone-scope.ts";

/** For how long an answer may be kept: what it says may be over in a moment. */
export const ZONE_TTL_S = 5;

/** More would not fit into an answer over UDP by far, and nobody tries them all. */
const RECORDS_MAX = 1000;

/** By these names containers of Podman and of Docker find the machine that they run on. */
const HOST_NAMES = new Set(["host.containers.internal", "host.docker.internal"]);

const REVERSE6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/;
const REVERSE = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/;
const SERVICE_NAME = /^_([^.]+)\._(tcp|udp)\.(.+)$/;

export interface Question {
  /** In lower case, without the dot at its end; empty for the root. */
  name: string;
  /** `A`, `AAAA`, `SRV`, `PTR` …; whatever else counts as one that names here have none of. */
  type: string;
}

export type AddressRecord = { type: "A" | "AAAA"; address: string };
export type ZoneRecord =
  AddressRecord | { type: "SRV"; target: string; port: number } | { type: "PTR"; target: string };

export type ZoneAnswer =
  /** The name is there, and has these records of the type that was asked for, perhaps none. */
  | { kind: "found"; records: readonly ZoneRecord[]; hosts?: readonly Host[] }
  /** There is no such name, and nobody else would know it. */
  | { kind: "absent" }
  /** Not one of ours: for others to answer. */
  | { kind: "foreign" }
  /** It may be one, once it is known who asks: to be asked again. */
  | { kind: "later" };

/** The address of a name that a record leads to. */
export interface Host {
  name: string;
  address: string;
}

const ABSENT: ZoneAnswer = { kind: "absent" };
const FOREIGN: ZoneAnswer = { kind: "foreign" };

/**
 * The names that one map of the network makes: what a node's name server answers by itself. A name
 * is seen by those who share a network with what it names; see `meaningOf`.
 */
export class Zone {
  readonly #index: ZoneIndex;
  readonly #place: { range: IpRange; gateway: string };
  readonly #range6: string | undefined;
  readonly #scopes = new Map<string, Scope>();

  /** @param own the node whose name server this is for */
  constructor(map: NetworkMap, own: NodeId) {
    this.#index = indexZone(map);
    this.#range6 = map.range6;
    const subnet = parseSubnet(map.nodes.find(({ id }) => id === own)?.subnet ?? "");
    this.#place = {
      range: parseIpRange(map.range) ?? { bytes: new Uint8Array(4), prefix: 32 },
      gateway: subnet === undefined ? "" : gatewayOf(subnet),
    };
  }

  /** Whether somebody at this address is answered: nobody outside the cluster is. */
  admits(asker: string): boolean {
    return this.#scopeOf(asker).kind !== "stranger";
  }

  /** Whether who asks is one that this map tells of. */
  knows(asker: string): boolean {
    const { kind } = this.#scopeOf(asker);
    return kind === "task" || kind === "node";
  }

  /** The task that has an address, if it is one. */
  taskAt(address: string): TaskId | undefined {
    return this.#index.taskAt.get(address)?.id;
  }

  /**
   * @param asker the address that the question came from, of somebody who is admitted
   * @param random puts what is equally good into an order
   */
  answer(question: Question, asker: string, random: Random): ZoneAnswer {
    const scope = this.#scopeOf(asker);
    const answer = this.#answerTo(question, scope, random);
    if (answer.kind === "foreign" && scope.kind === "task" && scope.isClosed) return ABSENT;
    // A task that has just begun has to try again rather than to take a wrong answer for true.
    if (scope.kind === "newcomer" && answer.kind !== "foreign") return { kind: "later" };
    return answer;
  }

  #answerTo({ name, type }: Question, scope: Scope, random: Random): ZoneAnswer {
    if (name === "") return FOREIGN;
    if (HOST_NAMES.has(name)) return this.#hostAnswer(type);
    if (/\.(?:in-addr|ip6)\.arpa$/.test(name)) return this.#reverseAnswer(name, type, scope);
    const isOurs = name === ZONE || name.endsWith(`.${ZONE}`);
    const bare = isOurs ? name.slice(0, -ZONE.length - 1) : name;
    if (bare === "") return { kind: "found", records: [] };
    const meaning = meaningOf(this.#index, scope, bare);
    if (meaning !== undefined) return this.#answerFor(meaning, type, scope, random);
    const port = SERVICE_NAME.exec(bare);
    const served = port === null ? undefined : meaningOf(this.#index, scope, port[3] ?? "");
    if (port !== null && served !== undefined) {
      const wanted = { port: port[1] ?? "", protocol: port[2] ?? "" };
      const found = shuffled(this.#portsOf(served, wanted, scope), random);
      if (found.length === 0) return ABSENT;
      return this.#portAnswer(found.slice(0, RECORDS_MAX), type);
    }
    return isOurs || !bare.includes(".") || this.#isEmptySlot(bare, scope) ? ABSENT : FOREIGN;
  }

  #scopeOf(asker: string): Scope {
    const known = this.#scopes.get(asker);
    if (known !== undefined) return known;
    const scope = scopeOf(this.#index, asker, this.#place);
    // Those that are in no table are told apart quickly, and there may be many of them.
    if (scope.kind === "task") this.#scopes.set(asker, scope);
    return scope;
  }

  #hostAnswer(type: string): ZoneAnswer {
    const { gateway } = this.#place;
    if (gateway === "") return ABSENT;
    return this.#addressAnswer([gateway], type);
  }

  #answerFor(meaning: Meaning, type: string, scope: Scope, random: Random): ZoneAnswer {
    if (!isAddressType(type)) return { kind: "found", records: [] };
    const { services, kind, slot } = meaning;
    const addresses = services.flatMap((service) => {
      // It stands for the service also while no task is ready, so that clients need not ask again.
      if (kind === "service" && service.virtualIp !== undefined) return service.virtualIp;
      const tasks = readyTasks(this.#index, scope, service);
      const meant = kind === "slot" ? tasks.filter((task) => task.slot === slot) : tasks;
      return meant.map(({ address }) => address);
    });
    return this.#addressAnswer(shuffled(addresses, random).slice(0, RECORDS_MAX), type);
  }

  /** Where a port, by name or number, is reached: at the virtual address, or at each ready task. */
  #portsOf(
    { services, kind, slot }: Meaning,
    wanted: { port: string; protocol: string },
    scope: Scope,
  ): { host: Host; port: number }[] {
    return services.flatMap((service) => {
      const { virtualIp } = service;
      if (kind === "service" && virtualIp !== undefined) {
        const host = { name: nameOfService(service), address: virtualIp };
        return targetsOf(service.ports, wanted).map((port) => ({ host, port }));
      }
      return readyTasks(this.#index, scope, service)
        .filter((task) => kind !== "slot" || task.slot === slot)
        .flatMap((task) => {
          const host = { name: nameOfTask(task, service), address: task.address };
          return targetsOf(task.ports ?? service.ports, wanted).map((port) => ({ host, port }));
        });
    });
  }

  #reverseAnswer(name: string, type: string, scope: Scope): ZoneAnswer {
    const address = this.#addressNamed(name);
    if (!isInRange(address, this.#place.range)) return FOREIGN;
    const target = this.#nameAt(address, scope);
    if (target === undefined) return ABSENT;
    const isAsked = type === "PTR" || type === "ANY";
    return { kind: "found", records: isAsked ? [{ type: "PTR", target }] : [] };
  }

  /** The IPv4 address, or that with which an IPv6 one goes; empty for any other name. */
  #addressNamed(name: string): string {
    const octets = REVERSE.exec(name);
    if (octets !== null) return octets.slice(1).reverse().join(".");
    const digits = REVERSE6.exec(name)?.[1]?.split(".").reverse().join("") ?? "";
    const address = digits.match(/.{4}/g)?.join(":") ?? "";
    return (this.#range6 && address4Of(this.#range6, address)) ?? "";
  }

  #addressAnswer(addresses: readonly string[], type: string): ZoneAnswer {
    const records: ZoneRecord[] = [];
    if (type !== "AAAA") for (const address of addresses) records.push({ type: "A", address });
    if (type !== "A") {
      for (const address of this.#inet6Of(addresses)) records.push({ type: "AAAA", address });
    }
    return { kind: "found", records: isAddressType(type) ? records : [] };
  }

  #portAnswer(found: readonly { host: Host; port: number }[], type: string): ZoneAnswer {
    if (type !== "SRV" && type !== "ANY") return { kind: "found", records: [] };
    const records = found.map(({ host, port }) => {
      return { type: "SRV" as const, target: host.name, port };
    });
    const hosts = found.flatMap(({ host }) => {
      const inet6 = this.#inet6Of([host.address]).map((address) => ({ ...host, address }));
      return [host, ...inet6];
    });
    return { kind: "found", records, hosts };
  }

  #inet6Of(addresses: readonly string[]): string[] {
    const range6 = this.#range6;
    return range6 === undefined ? [] : addresses.map((address) => address6Of(range6, address));
  }

  #nameAt(address: string, scope: Scope): string | undefined {
    if (address === this.#place.gateway) return "host.containers.internal";
    const { serviceAt, taskAt, services } = this.#index;
    const virtual = serviceAt.get(address);
    if (virtual !== undefined) {
      const networks = virtual.networks.map(({ network }) => network);
      return sharesOne(scope, networks) ? nameOfService(virtual) : undefined;
    }
    const task = taskAt.get(address);
    const service = task && services.get(task.serviceId);
    if (task === undefined || service === undefined) return undefined;
    return sharesOne(scope, networksOf(task, service)) ? nameOfTask(task, service) : undefined;
  }

  /** `3.web` of a service that has fewer slots: no domain of the world begins like this. */
  #isEmptySlot(name: string, scope: Scope): boolean {
    const [, rest] = /^\d+\.(.+)$/.exec(name) ?? [];
    return rest !== undefined && meaningOf(this.#index, scope, rest) !== undefined;
  }
}

function isAddressType(type: string): boolean {
  return type === "A" || type === "AAAA" || type === "ANY";
}

/** The ports inside a task that are meant by a name, or by a number on either side. */
function targetsOf(ports: readonly Port[], wanted: { port: string; protocol: string }): number[] {
  const isMeant = ({ name, target, published, protocol }: Port) =>
    protocol === wanted.protocol &&
    [name?.toLowerCase(), String(target), String(published)].includes(wanted.port);
  return [...new Set(ports.filter(isMeant).map(({ target }) => target))];
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  if (items.length < 2) return items;
  const mixed = [...items];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = randomBelow(random, i + 1);
    const [a, b] = [mixed[i], mixed[j]];
    if (a === undefined || b === undefined) continue;
    mixed[i] = b;
    mixed[j] = a;
  }
  return mixed;
}
