import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { AGENT_ENGINE } from "../../src/agent/engine.ts";
import { bun, root } from "../project.ts";
import { one, type Figure } from "./figure.ts";
import { CostMeter } from "./process-cost.ts";

const TASKS = 200;
const INTERVAL_MS = 10_000;
/** All have been asked twice by then, at the time that is theirs. */
const SETTLE_MS = 25_000;
const READY_TIMEOUT_MS = 60_000;

interface Cost {
  cpuPercent: number;
  writtenBytes: number;
}

/** What it costs an agent to ask 200 tasks for their health by HTTP, and how late it does. */
export async function benchProbes(windowMs: number): Promise<Figure[]> {
  const arrivals = new Map<string, number[]>();
  const server = createServer((request, reply) => {
    const { url = "" } = request;
    arrivals.set(url, [...(arrivals.get(url) ?? []), performance.now()]);
    reply.end("fine");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const idle = await costOf(0, windowMs);
    const asking = await costOf(port, windowMs);
    const late = latenessOf(arrivals);
    const during = `${TASKS} HTTP probes each ${INTERVAL_MS / 1000} s, ${windowMs / 1000} s`;
    const above = asking.cpuPercent - idle.cpuPercent;
    return [
      one(`agent CPU above idle, ${during}`, above, "% of a core", 2),
      one(`bytes the agent wrote to disks, ${during}`, asking.writtenBytes, "B", 0),
      { ...one(`lateness, 99th percentile, ${during}`, at(late, 0.99), "ms", 200), samples: late },
      one(`lateness, median, ${during}`, at(late, 0.5), "ms"),
    ];
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** @param port where tasks are asked; 0 for not at all */
async function costOf(port: number, windowMs: number): Promise<Cost> {
  const directory = mkdtempSync(join(tmpdir(), "orchd-bench-probes-"));
  const script = join(root, "scripts/bench/probes-process.ts");
  const words = [join(directory, "agent"), TASKS, port, INTERVAL_MS].map(String);
  const child = spawn(bun, [script, ...words], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...AGENT_ENGINE },
  });
  try {
    await untilReady(child.stdout);
    await pause(SETTLE_MS);
    const meter = new CostMeter(child.pid ?? 0);
    await pause(windowMs);
    return { cpuPercent: meter.cpuPercent, writtenBytes: meter.writtenBytes };
  } finally {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}

function untilReady(output: NodeJS.ReadableStream): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("tasks are not ready")), READY_TIMEOUT_MS);
    let text = "";
    output.on("data", (chunk: Buffer) => {
      text += String(chunk);
      if (!text.includes(`ready ${TASKS}\n`)) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** How much later than one interval after the last each request came; the first two left out. */
function latenessOf(arrivals: ReadonlyMap<string, readonly number[]>): number[] {
  const late = [...arrivals.values()].flatMap((times) =>
    times.slice(2).map((time, i) => time - (times[i + 1] ?? 0) - INTERVAL_MS),
  );
  return late.toSorted((a, b) => a - b);
}

function at(sorted: readonly number[], part: number): number {
  return sorted[Math.floor(sorted.length * part)] ?? Number.NaN;
}
