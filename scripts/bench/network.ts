import { join } from "node:path";
import { bun, root } from "../project.ts";
import { HELLO_IMAGE } from "../image.ts";
import { Fleet, type FleetHost } from "../lab/fleet.ts";
import { Lab, runHere } from "../lab/lab.ts";
import { prepareMachine } from "../machine.ts";
import type { NodeSummary } from "../../src/model/summary.ts";
import { median, type Figure } from "./figure.ts";
import { handMade, type End } from "./hand-made-vxlan.ts";

const ROUNDS = 5;
const SECONDS = 2;
const UPDATES = 20;
const SERVICES = 500;
const TASKS = 10;
const CONNECTS = 2000;
/** The virtual address of the first service. */
const ADDRESS = "10.210.240.1";
/** One task on each host; only that on h2 is behind its virtual address. */
const TWO = ["h1", "h2"].map(
  (host) => `  on-${host}:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: ["sleep", "1000000"]
    stop_grace_period: 0s
    deploy: {placement: {constraints: ["node.hostname == ${host}"]}}
`,
);

/** Throughput between tasks, and what it costs to spread connections over many services. */
export async function benchNetwork(): Promise<Figure[]> {
  const problem = await prepareMachine([{ program: "iperf3", package: "iperf3" }]);
  if (problem !== undefined) throw new Error(problem);
  return [...(await throughput()), ...(await rules())];
}

// Throughput

async function throughput(): Promise<Figure[]> {
  const fleet = await Fleet.start(2);
  try {
    return await betweenTasks(fleet.host("h1"), fleet.host("h2"));
  } finally {
    await fleet.stop();
  }
}

async function betweenTasks(h1: FleetHost, h2: FleetHost): Promise<Figure[]> {
  await h1.startServer();
  h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
  await h1.waitFor("both nodes are ready", async () => {
    const nodes = await h1.json<NodeSummary[]>("nodes");
    return nodes.filter((node) => node.health === "ready").length === 2;
  });
  await h1.loadImage();
  await h1.mustUp(`name: bench\nservices:\n${TWO.join("")}`);
  const [from, to] = [await taskOn(h1), await taskOn(h2)];
  const [handFrom, handTo] = await handMade(h1, h2);
  for (const end of [to, handTo]) await listen(end);
  const virtualIp = await virtualIpOf(h1, to.address);
  const ways: [End, string][] = [
    [from, to.address],
    [handFrom, handTo.address],
    [from, virtualIp],
  ];
  const rounds: number[][] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const round: number[] = [];
    for (const [end, address] of ways) round.push(await pump(end, address));
    rounds.push(round);
  }
  return [
    ratioOf(rounds, 0, 1, "task to task on another host, of a VXLAN made by hand"),
    ratioOf(rounds, 2, 0, "the same by the virtual address, of the direct way"),
  ];
}

async function virtualIpOf(host: FleetHost, address: string): Promise<string> {
  const { stdout } = await host.lab.run(["nft", "list", "table", "ip", "orchd"]);
  const chains = stdout.matchAll(/chain service_(\S+) \{\n\s*dnat to (\S+)/g);
  return [...chains].find(([, , to]) => to === address)?.[1] ?? "";
}

async function taskOn(host: FleetHost): Promise<End> {
  const id = await host.podman("ps", "--quiet", "--filter", "label=orchd.stack=bench");
  const format = "{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
  const [pid = "", address = ""] = (await host.podman("inspect", "--format", format, id)).split(
    " ",
  );
  return { host, net: `/proc/${pid}/ns/net`, address };
}

async function listen({ host, net }: End): Promise<void> {
  await host.lab.run(["nsenter", `--net=${net}`, "iperf3", "--server", "--daemon"]);
}

/** Bits a second. */
async function pump({ host, net }: End, address: string): Promise<number> {
  const words = ["iperf3", "--client", address, "--time", `${SECONDS}`, "--json"];
  const { code, stdout, stderr } = await host.lab.run(["nsenter", `--net=${net}`, ...words]);
  if (code !== 0) throw new Error(`iperf3 to ${address}: ${stderr}${stdout}`);
  const told = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } };
  return told.end.sum_received.bits_per_second;
}

function ratioOf(rounds: readonly number[][], a: number, b: number, what: string): Figure {
  const samples = rounds.map((round) => (round[a] ?? 0) / (round[b] ?? 1));
  const gigabits = median(rounds.map((round) => round[b] ?? 0)) / 1e9;
  return {
    what,
    value: median(samples),
    unit: "x",
    limit: 0.95,
    atLeast: true,
    reference: `${gigabits.toFixed(1)} Gbit/s`,
    samples,
  };
}

// Rules

/** On a machine of their own: a node would put its own rules right. */
async function rules(): Promise<Figure[]> {
  const lab = await Lab.start();
  try {
    // As on each node: without a route nobody can even ask for a virtual address.
    await lab.run(["ip", "addr", "add", "10.210.1.1/32", "dev", "lo"]);
    const route = ["10.210.240.0/20", "dev", "lo", "src", "10.210.1.1"];
    await lab.run(["ip", "route", "add", ...route]);
    return [...(await updates(lab)), await lookups(lab)];
  } finally {
    await lab.stop();
  }
}

/** An endpoint comes or goes among many: what changes is one transaction. */
async function updates(lab: Lab): Promise<Figure[]> {
  const script = join(root, "scripts", "bench", "rules-process.ts");
  await runHere([bun, script, lab.dir, `${SERVICES}`, `${TASKS}`]);
  const whole = await timeOf(lab, "whole");
  const samples: number[] = [];
  for (let i = 0; i < UPDATES; i++) samples.push(await timeOf(lab, i % 2 === 0 ? "more" : "less"));
  const what = `${SERVICES} services with ${TASKS} tasks each:`;
  return [
    { what: `${what} one atomic update`, value: median(samples), unit: "ms", limit: 50, samples },
    { what: `${what} the whole table`, value: whole, unit: "ms", samples: [whole] },
  ];
}

/** Runs one of the scripts that rules-process.ts wrote. */
async function timeOf(lab: Lab, name: string): Promise<number> {
  const path = join(lab.dir, `${name}.nft`);
  const start = performance.now();
  const { code, stderr } = await lab.run(["nft", "-f", path]);
  if (code !== 0) throw new Error(`nft: ${stderr.slice(0, 300)}`);
  return performance.now() - start;
}

/** What a connection through a virtual address costs among many services, against one alone. */
async function lookups(lab: Lab): Promise<Figure> {
  const samples: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const among: number[] = [];
    for (const table of ["alone", "whole"]) {
      await timeOf(lab, table);
      const script = join(root, "scripts", "bench", "connects.ts");
      const { code, stdout, stderr } = await lab.run([bun, script, ADDRESS, `${CONNECTS}`]);
      if (code !== 0) throw new Error(`no connection to ${ADDRESS}: ${stderr}`);
      among.push(Number(stdout));
    }
    samples.push((among[1] ?? 0) / (among[0] ?? 1));
  }
  return {
    what: `a connection to a service among ${SERVICES}, of one to a service alone`,
    value: median(samples),
    unit: "x",
    limit: 1.2,
    samples,
  };
}
