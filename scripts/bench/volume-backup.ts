import { join } from "node:path";
import { rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { orchd as executable } from "../project.ts";
import { aStack, Host } from "../lab/host.ts";
import { hasEnded } from "../lab/lab.ts";
import { median, one, type Figure } from "./figure.ts";
import { memoryMib } from "./process-cost.ts";
import { timed } from "./work.ts";

const FILES = 8;
const FILE_BYTES = 128 * 1024 * 1024;
const LOOK_EVERY_MS = 100;
/** It comes to rest, and gives back 30 s after its start what only that needed. */
const SETTLE_MS = 45_000;

/** A volume of 1 GiB saved by `orchd volume backup`, and by `tar` to the same disk. */
export async function benchVolumeBackup(pairs: number): Promise<Figure[]> {
  const host = await Host.withServer();
  try {
    const service = 'command: ["sleep", "1000000"]\nstop_grace_period: 0s\nvolumes: ["data:/data"]';
    await host.mustUp(`${aStack("bench", service)}volumes: { data: {} }\n`);
    const fill = `for i in $(seq ${FILES}); do head -c ${FILE_BYTES} /dev/urandom > /data/$i; done`;
    await host.must("exec", "bench/app.1", "--", "sh", "-c", `${fill}; sync`);
    const format = ["--format", "{{.Mountpoint}}", "bench_data"];
    const directory = await host.podman("volume", "inspect", ...format);
    await pause(SETTLE_MS);
    const idle = memoryMib(host.serverPid);
    const [ours, theirs, above]: number[][] = [[], [], []];
    const archive = join(host.lab.dir, "archive.tar");
    for (let pair = 0; pair < pairs; pair++) {
      theirs?.push(await timed(async () => tarTo(host, directory, archive)));
      rmSync(archive);
      let most = 0;
      ours?.push(await timed(async () => void (most = await backUpTo(host, archive))));
      rmSync(archive);
      above?.push(most - idle);
    }
    return figuresOf(ours ?? [], theirs ?? [], above ?? []);
  } finally {
    await host.stop();
  }
}

function figuresOf(ours: number[], theirs: number[], above: number[]): Figure[] {
  const mib = (FILES * FILE_BYTES) / 1024 / 1024;
  const rate = (ms: number) => ((mib * 1000) / ms).toFixed(0);
  const [tar, orchd] = [median(theirs), median(ours)].map(rate);
  const reference = `tar and sync: ${tar} MiB/s; orchd: ${orchd} MiB/s`;
  return [
    {
      what: `speed of a volume backup of ${mib} MiB`,
      value: median(theirs) / median(ours),
      unit: "x tar",
      limit: 0.8,
      atLeast: true,
      reference,
      samples: ours.map((ms, i) => (theirs[i] ?? Number.NaN) / ms),
    },
    {
      ...one("most memory of the server above idle meanwhile", Math.max(...above), "MiB", 64),
      samples: above,
    },
  ];
}

/** Until all of it is on the disk, which `orchd volume backup` waits for as well. */
async function tarTo(host: Host, directory: string, archive: string): Promise<void> {
  const script = `tar -cf ${archive} -C ${directory} . && sync ${archive}`;
  const { code, stderr } = await host.lab.run(["sh", "-c", script]);
  if (code !== 0) throw new Error(`tar: ${stderr}`);
}

/** Answers the most memory that the server had meanwhile, in MiB. */
async function backUpTo(host: Host, archive: string): Promise<number> {
  const child = host.lab.spawn([executable, "volume", "backup", "bench_data", archive, "--live"]);
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
  let most = 0;
  while (!hasEnded(child)) {
    most = Math.max(most, memoryMib(host.serverPid));
    await pause(LOOK_EVERY_MS);
  }
  if (child.exitCode !== 0) throw new Error(`orchd volume backup: ${said}`);
  return most;
}
