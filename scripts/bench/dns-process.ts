import { encode, RECURSION_DESIRED } from "dns-packet";
import { NameServer } from "../../src/agent/name-server.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { networkMapSchema, type NetworkMap } from "../../src/model/network-map.ts";
import type { Asked } from "./dns.ts";

/*
 * Run by Bun, like orchd itself. `dns-process.ts serve` prints the port of a name server and serves
 * until its input ends. `dns-process.ts ask PORT PER_SECOND SECONDS` prints what it has `Asked`.
 */

const SERVICES = 500;
const TASKS_EACH = 10;
const ADDRESS = "127.0.0.1";
/** Each has an address of its own, and so a share of its own of what one client may ask. */
const CLIENTS = 16;
/** Questions of one client that are on their way. */
const WINDOW = 8;
const TICK_MS = 2;
const LAST_ANSWERS_MS = 500;

const [role, ...words] = process.argv.slice(2);
if (role === "serve") await serve();
else console.log(JSON.stringify(await ask(...(words.map(Number) as [number, number, number]))));

async function serve(): Promise<void> {
  const map = aBigMap();
  const [node] = map.nodes;
  if (node === undefined) throw new Error("the map has no node");
  const server = new NameServer({
    bridge: { name: "lo", address: ADDRESS, prefix: 8 },
    source: { nodeId: node.id, current: () => map, subscribe: () => () => {} },
    serversOf: () => [],
    clock: systemClock,
    now: () => performance.now(),
    random: seededRandom("bench"),
    log: silentLog,
    port: 0,
  });
  await server.start();
  console.log(server.port);
  process.stdin.on("end", () => server.close()).resume();
}

function aBigMap(): NetworkMap {
  const idOf = (kind: string, i: number) => `${kind}${String(i).padStart(11, "2")}`;
  const names = Array.from({ length: SERVICES }, (_, i) => `web${i}`);
  return networkMapSchema.parse({
    generation: 1,
    mode: "vxlan",
    range: "10.210.0.0/16",
    nodes: [{ id: idOf("n", 1), hostname: "n1", address: "192.0.2.1", subnet: "10.210.1.0/24" }],
    services: names.map((name, i) => ({
      id: idOf("s", i),
      stack: "shop",
      name,
      networks: [{ network: "shop_default", aliases: [`alias${i}`], internal: false }],
      virtualIp: `10.210.${240 + (i >> 8)}.${i & 255}`,
      ports: [],
    })),
    tasks: names.flatMap((_, i) =>
      Array.from({ length: TASKS_EACH }, (__, slot) => ({
        id: idOf("t", i * TASKS_EACH + slot),
        serviceId: idOf("s", i),
        slot: String(slot + 1),
        nodeId: idOf("n", 1),
        address: `10.210.${2 + (i >> 4)}.${(i & 15) * TASKS_EACH + slot + 2}`,
        isReady: true,
      })),
    ),
  });
}

/** What programs ask: the virtual address, now and then all tasks, and IPv6 in vain. */
function questions(): Buffer[] {
  return Array.from({ length: SERVICES }, (_, i) => {
    const name = i % 10 === 0 ? `tasks.web${i}` : `web${i}`;
    const type = i % 4 === 1 ? "AAAA" : "A";
    return encode({ type: "query", flags: RECURSION_DESIRED, questions: [{ type, name }] });
  });
}

async function ask(port: number, perSecond: number, seconds: number): Promise<Asked> {
  const packets = questions();
  const asked: Asked = { sent: 0, answered: 0, ms: 0 };
  const begin = performance.now();
  const isOver = () => performance.now() - begin > seconds * 1000;
  const send = (socket?: Bun.udp.ConnectedSocket<"buffer">) => {
    const packet = packets[asked.sent % packets.length];
    if (packet !== undefined && socket?.send(packet) === true) asked.sent++;
  };
  const sockets: Bun.udp.ConnectedSocket<"buffer">[] = [];
  for (let i = 0; i < CLIENTS; i++) {
    const socket = await Bun.udpSocket({
      hostname: `127.0.1.${i + 1}`,
      connect: { hostname: ADDRESS, port },
      socket: {
        data() {
          asked.answered++;
          if (perSecond === 0 && !isOver()) send(sockets[i]);
        },
        error() {},
      },
    });
    sockets.push(socket);
    for (let j = 0; j < (perSecond === 0 ? WINDOW : 0); j++) send(socket);
  }
  while (!isOver()) {
    const due = perSecond === 0 ? 0 : ((performance.now() - begin) * perSecond) / 1000;
    for (const socket of sockets) {
      if (asked.sent < due) send(socket);
    }
    await Bun.sleep(asked.sent < due ? 0 : TICK_MS);
  }
  asked.ms = performance.now() - begin;
  await Bun.sleep(LAST_ANSWERS_MS);
  for (const socket of sockets) socket.close();
  return asked;
}
