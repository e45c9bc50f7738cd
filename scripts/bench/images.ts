import { createHash, randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { FleetHost } from "../lab/fleet.ts";
import { Host } from "../lab/host.ts";
import { orchd } from "../project.ts";
import { writeTar } from "../tar.ts";
import { BenchFleet } from "./fleet.ts";
import { median, one, type Figure } from "./figure.ts";
import { memoryMib } from "./process-cost.ts";
import { timed } from "./work.ts";

const NODES = 10;
const MEBIBYTE = 1024 * 1024;
const LAYER_BYTES = 20 * MEBIBYTE;
const LAYERS = 10;
const IMAGE_BYTES = LAYERS * LAYER_BYTES;
const UPLINK_KILOBITS = 100_000;
const PAIRS = 3;
const LOOK_EVERY_MS = 100;
/** Processes come to rest, and give back what only their start needed. */
const SETTLE_MS = 45_000;
const WAIT_MS = 300_000;

/** Images on their way: from one server with a narrow uplink to many nodes, and into a runtime. */
export async function benchImages(): Promise<Figure[]> {
  return [...(await benchLocalPull()), ...(await benchSite())];
}

/** One server and its nodes; each image is had by the nodes with its label alone. */
async function benchSite(): Promise<Figure[]> {
  const bench = await BenchFleet.start(NODES + 1);
  try {
    const { server } = bench;
    const agents = bench.fleet.hosts.slice(1);
    const [lone] = agents;
    if (lone === undefined) throw new Error("the bench has nodes");
    await server.must("node", "label", lone.name, "lone=yes");
    for (const host of agents) await server.must("node", "label", host.name, "bench=yes");
    await pause(SETTLE_MS);
    const idle = [server, ...agents].map((host) => memoryMib(host.serverPid));
    const layers = newLayers(LAYERS);
    await keep(server, "localhost/alone:1", newLayers(LAYERS));
    await keep(server, "localhost/all:1", layers);
    await server.limitUplink(UPLINK_KILOBITS);
    const alone = await timed(() => pull(server, "localhost/alone:1", "lone=yes"));
    const before = await sentBy(bench, agents);
    const memory = new MemoryWatch([server, ...agents]);
    const all = await timed(() => pull(server, "localhost/all:1", "bench=yes")).finally(() =>
      memory.stop(),
    );
    const { most } = memory;
    const sent = (await sentBy(bench, agents)) - before;
    const related = await sharedLayers(bench, lone, layers);
    const agentsAbove = most.slice(1).map((mib, at) => mib - (idle[at + 1] ?? 0));
    const what = `${IMAGE_BYTES / MEBIBYTE} MiB to ${NODES} nodes, uplink of 100 Mbit/s`;
    return [
      {
        ...one(`${what}, until all have it`, all / alone, "x", 1.5),
        reference: `one node alone ${Math.round(alone)} ms, all ${Math.round(all)} ms`,
      },
      one(`${what}, sent by the server`, sent / IMAGE_BYTES, "images", 1.2),
      one("an image with nine of ten layers there, sent", related, "images", 0.12),
      one("memory of the server above idle meanwhile", (most[0] ?? 0) - (idle[0] ?? 0), "MiB", 64),
      {
        ...one("memory of a node above idle meanwhile", Math.max(...agentsAbove), "MiB", 64),
        samples: agentsAbove,
      },
    ];
  } finally {
    await bench.stop();
  }
}

async function sharedLayers(
  bench: BenchFleet,
  lone: FleetHost,
  layers: readonly Uint8Array[],
): Promise<number> {
  await keep(bench.server, "localhost/related:1", [...layers.slice(1), ...newLayers(1)]);
  const before = await sentBy(bench, [lone]);
  await pull(bench.server, "localhost/related:1", "lone=yes");
  return ((await sentBy(bench, [lone])) - before) / IMAGE_BYTES;
}

/** An image that the agent has, into the runtime: layer by layer, against `podman load`. */
async function benchLocalPull(): Promise<Figure[]> {
  const host = await Host.withServer();
  try {
    const [ours, theirs]: number[][] = [[], []];
    for (let pair = 0; pair < PAIRS; pair++) {
      const name = `localhost/local:${pair}`;
      const archive = await keep(host, name, newLayers(LAYERS), { isRemoved: false });
      await host.podman("rmi", "--force", name);
      ours?.push(await timed(() => host.must("image", "pull", name)));
      await host.podman("rmi", "--force", name);
      theirs?.push(await timed(() => host.podman("load", "--quiet", "--input", archive)));
      await host.podman("rmi", "--force", name);
      rmSync(archive);
    }
    const ratios = (ours ?? []).map((ms, at) => (theirs?.[at] ?? Number.NaN) / ms);
    const times = [ours, theirs].map((values) => Math.round(median(values ?? [])));
    const what = `${IMAGE_BYTES / MEBIBYTE} MiB from the agent into Podman, speed`;
    return [
      {
        ...one(what, median(ratios), "x", 0.8),
        atLeast: true,
        samples: ratios,
        reference: `podman load ${times[1]} ms, through the agent ${times[0]} ms`,
      },
    ];
  } finally {
    await host.stop();
  }
}

/** What nothing can compress. */
function newLayers(count: number): Uint8Array[] {
  return Array.from({ length: count }, () => {
    const content = randomBytes(LAYER_BYTES);
    const name = `data/${content.toString("hex", 0, 8)}`;
    return writeTar([{ name, type: "file", mode: 0o644, content }]);
  });
}

/** Has the server keep an image and no node get it; answers its archive. */
async function keep(
  host: Host,
  name: string,
  layers: readonly Uint8Array[],
  { isRemoved = true }: { isRemoved?: boolean } = {},
): Promise<string> {
  const file = (path: string, content: Uint8Array) => {
    return { name: path, type: "file", mode: 0o644, content } as const;
  };
  const ids = layers.map((layer) => `sha256:${createHash("sha256").update(layer).digest("hex")}`);
  const config = Buffer.from(
    JSON.stringify({
      os: "linux",
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      config: { Cmd: ["/none"] },
      rootfs: { type: "layers", diff_ids: ids },
    }),
  );
  const paths = ids.map((_, at) => `${at}/layer.tar`);
  const list = [{ Config: "config.json", RepoTags: [name], Layers: paths }];
  const archive = host.write(
    `${name.replaceAll(/[/:]/g, "-")}.tar`,
    writeTar([
      file("manifest.json", Buffer.from(JSON.stringify(list))),
      file("config.json", config),
      ...layers.map((layer, at) => file(paths[at] ?? "", layer)),
    ]),
  );
  const registry = "docker://127.0.0.1:6775";
  const creds = `me:${await host.token("--admin")}`;
  const to = ["--dest-tls-verify=false", "--dest-creds", creds, `${registry}/${name}`];
  // Pushed and not loaded, so that no node gets it before it is asked for.
  const compress = ["--dest-compress=false", "--preserve-digests"];
  const words = ["skopeo", "copy", ...compress, ...to.slice(0, 3), `docker-archive:${archive}`];
  const { code, stderr } = await host.lab.run([...words, to[3] ?? ""], { timeoutMs: WAIT_MS });
  if (code !== 0) throw new Error(`skopeo copy: ${stderr}`);
  if (isRemoved) rmSync(archive);
  return archive;
}

async function pull(server: Host, name: string, label: string): Promise<void> {
  const words = ["image", "pull", name, "--on", label];
  const { code, stdout, stderr } = await server.lab.run([orchd, ...words], { timeoutMs: WAIT_MS });
  if (code !== 0 || stderr !== "") throw new Error(`image pull: ${stdout}${stderr}`);
}

async function sentBy(bench: BenchFleet, agents: readonly FleetHost[]): Promise<number> {
  const { fleet, server } = bench;
  const sent = agents.map((host) => fleet.switch.bytesSent(server.port, host.port));
  return (await Promise.all(sent)).reduce((sum, bytes) => sum + bytes, 0);
}

/** The most memory that each of some processes has while it looks, in MiB. */
class MemoryWatch {
  readonly #pids: number[];
  readonly most: number[];
  readonly #timer: NodeJS.Timeout;

  constructor(hosts: readonly Host[]) {
    this.#pids = hosts.map((host) => host.serverPid);
    this.most = this.#pids.map(() => 0);
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const [at, pid] of this.#pids.entries()) {
      this.most[at] = Math.max(this.most[at] ?? 0, memoryMib(pid));
    }
  }
}
