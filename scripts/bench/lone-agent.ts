import type { FleetHost } from "../lab/fleet.ts";
import { one, type Figure } from "./figure.ts";
import { CostMeter, memoryFigures, residentDuring } from "./process-cost.ts";
import { withSettledAgent } from "./settled-agent.ts";

const TASKS = 10;
const SESSION_PORT = 6770;
const GOSSIP_PORT = 7946;

/** What an agent with running tasks takes on a machine of its own while nothing happens. */
export async function benchLoneAgent(windowMs: number): Promise<Figure[]> {
  return withSettledAgent(TASKS, async (agent) => measure(agent, windowMs));
}

async function measure(agent: FleetHost, windowMs: number): Promise<Figure[]> {
  const pid = agent.serverPid;
  await countTraffic(agent);
  const before = agent.dataFiles();
  const start = await readTraffic(agent);
  const cost = new CostMeter(pid);
  const resident = await residentDuring(pid, windowMs);
  const { cpuPercent, writtenBytes } = cost;
  const end = await readTraffic(agent);
  const changed = agent.dataFiles().filter((line) => !before.includes(line));
  const during = `${windowMs / 1000} s idle, ${TASKS} tasks`;
  // Bits in a millisecond are kilobits in a second.
  const rate = (name: keyof Traffic) => ((end[name] - start[name]) * 8) / windowMs;
  return [
    ...memoryFigures({ name: "agent", pid, during }, resident, 55),
    one(`agent CPU, ${during}`, cpuPercent, "% of a core", 0.5),
    one(`files of its data directory that changed, ${during}`, changed.length, "files", 0),
    one(`bytes the agent wrote to disks, ${during}`, writtenBytes, "B", 0),
    one(`its session, both ways, ${during}`, rate("session"), "kbit/s", 0.5),
    one(`its gossip with one other member, both ways, ${during}`, rate("gossip"), "kbit/s"),
  ];
}

/** Bytes of IP packets, both ways, since they are counted. */
interface Traffic {
  session: number;
  gossip: number;
}

async function countTraffic(host: FleetHost): Promise<void> {
  const gossip = "meta l4proto { tcp, udp } th";
  const rules = [
    "add table inet traffic",
    "add counter inet traffic session",
    "add counter inet traffic gossip",
    "add chain inet traffic leaving { type filter hook output priority 0; }",
    "add chain inet traffic coming { type filter hook input priority 0; }",
    `add rule inet traffic leaving tcp dport ${SESSION_PORT} counter name "session"`,
    `add rule inet traffic coming tcp sport ${SESSION_PORT} counter name "session"`,
    `add rule inet traffic leaving ${gossip} dport ${GOSSIP_PORT} counter name "gossip"`,
    `add rule inet traffic coming ${gossip} sport ${GOSSIP_PORT} counter name "gossip"`,
  ];
  const { code, stderr } = await host.lab.run(["nft", "-f", "-"], { input: rules.join("\n") });
  if (code !== 0) throw new Error(`the traffic can't be counted: ${stderr}`);
}

async function readTraffic(host: FleetHost): Promise<Traffic> {
  const { stdout } = await host.lab.run([
    "nft",
    "-j",
    "list",
    "counters",
    "table",
    "inet",
    "traffic",
  ]);
  const { nftables } = JSON.parse(stdout) as {
    nftables: { counter?: { name: string; bytes: number } }[];
  };
  const bytesOf = (name: string) =>
    nftables.find(({ counter }) => counter?.name === name)?.counter?.bytes ?? Number.NaN;
  return { session: bytesOf("session"), gossip: bytesOf("gossip") };
}
