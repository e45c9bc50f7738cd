import { describe, expect, test } from "bun:test";
import { Zone, type ZoneAnswer } from "../../../../src/core/network/zone.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Attachment } from "../../../../src/model/attachment.ts";
import type { MapService, MapTask, NetworkMap } from "../../../../src/model/network-map.ts";
import { aMap, aMapService, aMapTask, anId, aPort } from "../../../builders.ts";

const on = (network: string, ...aliases: string[]): Attachment => {
  return { network, aliases, internal: network.startsWith("sealed") };
};
const service = (id: string, over: Partial<MapService>) =>
  aMapService(id, { id: anId(id), ...over });
const task = (id: string, of: string, host: number, over: Partial<MapTask> = {}) =>
  aMapTask(id, { serviceId: anId(of), address: `10.210.1.${host}`, ...over });

/** Two stacks with a `web` each, one that both share a network with, and one that is sealed. */
const WORLD: NetworkMap = aMap({
  services: [
    service("shopweb", {
      name: "web",
      networks: [on("shop_default"), on("proxy", "Storefront")],
      virtualIp: "10.210.240.1",
      ports: [aPort({ name: "http", target: 80, published: 8080 })],
    }),
    service("shopdb", {
      name: "db",
      networks: [on("shop_default", "database")],
      ports: [aPort({ target: 5432, published: 5432 })],
    }),
    service("blogweb", {
      stack: "blog",
      name: "web",
      networks: [on("blog_default"), on("proxy")],
      virtualIp: "10.210.240.2",
    }),
    service("lb", {
      stack: "edge",
      name: "lb",
      networks: [on("proxy")],
      virtualIp: "10.210.240.3",
    }),
    service("vault", { stack: "safe", name: "vault", networks: [on("sealed_a")] }),
  ],
  tasks: [
    task("w1", "shopweb", 2),
    task("w2", "shopweb", 3, { slot: "2", isReady: false }),
    task("d1", "shopdb", 4),
    task("d2", "shopdb", 5, { slot: "2", address: "10.210.2.5", nodeId: anId("n2") }),
    task("b1", "blogweb", 6),
    task("l1", "lb", 7),
    task("v1", "vault", 8),
  ],
});

const ASKERS: Record<string, string> = {
  web: "10.210.1.2",
  db: "10.210.1.4",
  blog: "10.210.1.6",
  lb: "10.210.1.7",
  vault: "10.210.1.8",
  node: "10.210.1.1",
  loopback: "127.0.0.1",
  newcomer: "10.210.1.99",
};

/** `web.shop SRV` as it is answered to somebody, in one line. */
function ask(asker: string, question: string, map = WORLD): string {
  const [name = "", type = "A"] = question.split(" ");
  const zone = new Zone(map, anId("n1"));
  return textOf(zone.answer({ name, type }, ASKERS[asker] ?? asker, seededRandom("zone")));
}

function textOf(answer: ZoneAnswer): string {
  if (answer.kind !== "found") return answer.kind;
  const records = answer.records.map((record) => {
    if ("address" in record) return record.address;
    return record.type === "PTR" ? record.target : `${record.target}:${record.port}`;
  });
  return records.length === 0 ? "nothing" : records.sort().join(" ");
}

/** The name for the address of fd00::/96 that ends with these digits. */
function reversed(end: string, begin = "fd"): string {
  const digits = `${begin}${"0".repeat(22)}${end}`;
  return `${digits.split("").reverse().join(".")}.ip6.arpa`;
}

/** Who asks, what, and what is answered. */
const TABLE: [string, string, string][] = [
  // A service is seen by those who share a network with it.
  ["db", "web", "10.210.240.1"],
  ["db", "web AAAA", "nothing"],
  ["db", "web TXT", "nothing"],
  ["db", "web.shop", "10.210.240.1"],
  ["db", "web.shop.orchd.internal", "10.210.240.1"],
  ["db", "web.orchd.internal", "10.210.240.1"],
  ["db", "shop_web", "10.210.240.1"],
  ["db", "web.blog", "foreign"],
  ["db", "web.blog.orchd.internal", "absent"],
  ["db", "lb", "absent"],
  ["db", "lb AAAA", "absent"],
  // Each `web` sees itself under that name, and the other one by its stack's.
  ["web", "web", "10.210.240.1"],
  ["blog", "web", "10.210.240.2"],
  ["blog", "web.shop", "10.210.240.1"],
  // Who has none of its own sees both.
  ["lb", "web", "10.210.240.1 10.210.240.2"],
  ["lb", "web.blog", "10.210.240.2"],
  ["lb", "db", "absent"],
  // An alias holds in its own network.
  ["lb", "storefront", "10.210.240.1"],
  ["db", "storefront", "absent"],
  ["web", "database", "10.210.1.4 10.210.2.5"],
  // Without a virtual address: the ready tasks.
  ["web", "db", "10.210.1.4 10.210.2.5"],
  ["web", "tasks.db", "10.210.1.4 10.210.2.5"],
  ["db", "tasks.web", "10.210.1.2"],
  ["db", "tasks.web.shop", "10.210.1.2"],
  ["db", "tasks.web.shop.orchd.internal", "10.210.1.2"],
  ["db", "tasks.lb", "foreign"],
  // One slot, if its task is ready.
  ["db", "1.web", "10.210.1.2"],
  ["db", "1.web.shop.orchd.internal", "10.210.1.2"],
  ["db", "2.web", "nothing"],
  ["db", "3.web", "absent"],
  ["db", "www.web", "foreign"],
  ["db", "1.lb", "foreign"],
  // Ports, by name and by either number.
  ["db", "_http._tcp.web SRV", "web.shop.orchd.internal:80"],
  ["db", "_80._tcp.web SRV", "web.shop.orchd.internal:80"],
  ["db", "_8080._tcp.web.shop SRV", "web.shop.orchd.internal:80"],
  ["db", "_http._udp.web SRV", "absent"],
  ["db", "_http._tcp.web A", "nothing"],
  ["db", "_http._tcp.tasks.web SRV", "1.web.shop.orchd.internal:80"],
  ["web", "_5432._tcp.db SRV", "1.db.shop.orchd.internal:5432 2.db.shop.orchd.internal:5432"],
  ["web", "_5432._tcp.2.db SRV", "2.db.shop.orchd.internal:5432"],
  ["web", "_xmpp-client._tcp.example.com SRV", "foreign"],
  // From address to name, as far as one may see it.
  ["db", "2.1.210.10.in-addr.arpa PTR", "1.web.shop.orchd.internal"],
  ["db", "1.240.210.10.in-addr.arpa PTR", "web.shop.orchd.internal"],
  ["db", "7.1.210.10.in-addr.arpa PTR", "absent"],
  ["db", "3.240.210.10.in-addr.arpa PTR", "absent"],
  ["db", "1.1.210.10.in-addr.arpa PTR", "host.containers.internal"],
  ["db", "200.1.210.10.in-addr.arpa PTR", "absent"],
  ["db", "1.2.0.192.in-addr.arpa PTR", "foreign"],
  ["db", "1.210.10.in-addr.arpa PTR", "foreign"],
  // The machine itself.
  ["db", "host.containers.internal", "10.210.1.1"],
  ["db", "host.docker.internal", "10.210.1.1"],
  ["db", "host.docker.internal AAAA", "nothing"],
  // Short names are nobody else's business; others may be.
  ["db", "nothing", "absent"],
  ["db", "internal", "absent"],
  ["db", "example.com", "foreign"],
  ["db", " NS", "foreign"],
  ["db", "orchd.internal", "nothing"],
  ["db", "something.internal", "foreign"],
  // Whose networks are all internal asks nobody outside.
  ["vault", "vault", "10.210.1.8"],
  ["vault", "example.com", "absent"],
  // On the node itself people see everything.
  ["node", "web", "10.210.240.1 10.210.240.2"],
  ["loopback", "vault", "10.210.1.8"],
  ["node", "8.1.210.10.in-addr.arpa PTR", "1.vault.safe.orchd.internal"],
  // Who is not known yet is to ask again.
  ["newcomer", "web", "later"],
  ["newcomer", "nothing", "later"],
  ["newcomer", "example.com", "foreign"],
];

describe("names of the cluster", () => {
  for (const [asker, question, answer] of TABLE) {
    test(`${asker} asks for ${question}: ${answer}`, () => {
      expect(ask(asker, question)).toBe(answer);
    });
  }

  const INET6: [string, string, string][] = [
    ["db", "web", "10.210.240.1"],
    ["db", "web AAAA", "fd00::ad2:f001"],
    ["db", "web ANY", "10.210.240.1 fd00::ad2:f001"],
    ["db", "web TXT", "nothing"],
    ["web", "tasks.db AAAA", "fd00::ad2:104 fd00::ad2:205"],
    ["db", "2.web AAAA", "nothing"],
    ["db", "lb AAAA", "absent"],
    ["db", "host.docker.internal AAAA", "fd00::ad2:101"],
    ["db", `${reversed("0ad20102")} PTR`, "1.web.shop.orchd.internal"],
    ["db", `${reversed("0ad2f001")} PTR`, "web.shop.orchd.internal"],
    ["db", `${reversed("0ad20107")} PTR`, "absent"],
    ["db", `${reversed("0bd20107")} PTR`, "foreign"],
    ["db", `${reversed("0ad20102", "fe")} PTR`, "foreign"],
    ["db", "2.0.1.ip6.arpa PTR", "foreign"],
  ];
  for (const [asker, question, answer] of INET6) {
    test(`with IPv6 ${asker} asks for ${question}: ${answer}`, () => {
      expect(ask(asker, question, { ...WORLD, range6: "fd00::/96" })).toBe(answer);
    });
  }

  test("a port's hosts come with addresses of both kinds where they have them", () => {
    const hosts = (map: NetworkMap) => {
      const question = { name: "_5432._tcp.2.db", type: "SRV" };
      const answer = new Zone(map, anId("n1")).answer(question, "10.210.1.2", seededRandom("zone"));
      return answer.kind === "found" ? answer.hosts : undefined;
    };
    const name = "2.db.shop.orchd.internal";
    const inet = { name, address: "10.210.2.5" };
    expect(hosts(WORLD)).toEqual([inet]);
    const inet6 = { name, address: "fd00::ad2:205" };
    expect(hosts({ ...WORLD, range6: "fd00::/96" })).toEqual([inet, inet6]);
  });

  test("a virtual address is answered also while no task is ready, and so no task is", () => {
    const map = { ...WORLD, tasks: WORLD.tasks.map((one) => ({ ...one, isReady: false })) };
    expect(ask("db", "web", map)).toBe("10.210.240.1");
    expect(ask("db", "tasks.web", map)).toBe("nothing");
    expect(ask("web", "db", map)).toBe("nothing");
    expect(ask("web", "_5432._tcp.db SRV", map)).toBe("absent");
  });

  test("a task of an older revision is in that one's networks", () => {
    const moved = WORLD.tasks.map((one) =>
      one.id === anId("w1") ? { ...one, networks: ["elsewhere"] } : one,
    );
    const map = { ...WORLD, tasks: moved };
    expect(ask("db", "tasks.web", map)).toBe("nothing");
    expect(ask("web", "db", map)).toBe("absent");
  });

  test("a service whose name has capitals and dots is found however it is written", () => {
    const odd = service("odd", { name: "My.Api", virtualIp: "10.210.240.9" });
    const map = { ...WORLD, services: [...WORLD.services, odd] };
    expect(ask("db", "my.api", map)).toBe("10.210.240.9");
    expect(ask("db", "my.api.shop.orchd.internal", map)).toBe("10.210.240.9");
  });

  test("equally good tasks come in another order each time", () => {
    const zone = new Zone(WORLD, anId("n1"));
    const random = seededRandom("order");
    const question = { name: "db", type: "A" };
    const orders = Array.from({ length: 40 }, () => {
      const answer = zone.answer(question, "10.210.1.2", random);
      return answer.kind === "found" ? JSON.stringify(answer.records) : "";
    });
    expect(new Set(orders).size).toBe(2);
  });

  test("of thousands of tasks as many are told as anybody could try", () => {
    const many = Array.from({ length: 3000 }, (_, i) =>
      task(`m${i}`, "shopdb", 0, { slot: `${i}`, address: `10.210.${3 + (i >> 8)}.${i & 255}` }),
    );
    const map = { ...WORLD, tasks: [...WORLD.tasks, ...many] };
    expect(ask("web", "tasks.db", map).split(" ")).toHaveLength(1000);
  });

  test("nobody outside the cluster is admitted", () => {
    const zone = new Zone(WORLD, anId("n1"));
    const admitted = ["10.210.1.2", "10.210.7.7", "127.0.0.9", "10.210.1.1"];
    const others = ["192.0.2.1", "10.211.0.1", "8.8.8.8", "::1", "", "fe80::1"];
    expect(admitted.map((asker) => zone.admits(asker))).toEqual(admitted.map(() => true));
    expect(others.map((asker) => zone.admits(asker))).toEqual(others.map(() => false));
  });
});
