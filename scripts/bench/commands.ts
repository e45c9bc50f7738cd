import { spawnSync } from "node:child_process";
import { orchd } from "../project.ts";
import { Host } from "../lab/host.ts";
import { benchHost, callSocket, sleepers } from "./bench-host.ts";
import { median, type Figure } from "./figure.ts";
import { join } from "node:path";

const RUNS = 30;
const STARTS = 5;
const READY_TIMEOUT_MS = 20_000;

/** Wall times of short commands, in turn with a program that does nothing, and of a start. */
export async function benchCommands(): Promise<Figure[]> {
  const { host, socket } = await benchHost();
  try {
    await host.mustUp(sleepers("bench", 20));
    const nothing = wall("/bin/true", []);
    const version: number[] = [];
    const ps: number[] = [];
    const idle: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      idle.push(wall("/bin/true", []));
      version.push(wall(orchd, ["version"]));
      ps.push(wall(orchd, ["ps", "--socket", socket]));
    }
    const reference = `/bin/true ${median([nothing, ...idle]).toFixed(1)} ms`;
    return [
      figure("orchd version, wall", version, 15, reference),
      figure("orchd ps with 20 tasks, wall", ps, 100, reference),
      figure("server start until it answers, 20 tasks", await restarts(host), 400, ""),
      figure("server start until it answers, new", await firstStarts(), 400, ""),
    ];
  } finally {
    await host.stop();
  }
}

function wall(program: string, words: string[]): number {
  const start = performance.now();
  const { status } = spawnSync(program, words, { stdio: "ignore" });
  const ms = performance.now() - start;
  if (status !== 0) throw new Error(`${program} ${words.join(" ")} ended with ${status}`);
  return ms;
}

async function restarts(host: Host): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    await host.endServer("SIGTERM");
    times.push(await startUntilAnswer(host));
  }
  return times;
}

async function firstStarts(): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const host = await Host.bare();
    times.push(await startUntilAnswer(host));
    await host.stop();
  }
  return times;
}

/** From the start of the process to its first answer on the socket. */
async function startUntilAnswer(host: Host): Promise<number> {
  const start = performance.now();
  host.spawnServer();
  const socket = join(host.lab.root, "run/orchd/orchd.sock");
  for (;;) {
    const answer = await callSocket(socket, "GET", "/v1/version").catch(() => undefined);
    const ms = performance.now() - start;
    if (answer?.status === 200) return ms;
    if (ms > READY_TIMEOUT_MS) throw new Error(`the server does not answer:\n${host.log}`);
  }
}

function figure(what: string, samples: number[], limit: number, reference: string): Figure {
  return { what, value: median(samples), unit: "ms", limit, reference, samples };
}
