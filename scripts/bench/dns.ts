import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { $ } from "zx";
import { AGENT_ENGINE } from "../../src/agent/engine.ts";
import { bun, root } from "../project.ts";
import { one, type Figure } from "./figure.ts";
import { cpuMs } from "./process-cost.ts";

/** What the process that asked has seen. */
export interface Asked {
  sent: number;
  answered: number;
  ms: number;
}

const GOAL = 20_000;
const SECONDS = 5;
const WARM_UP_SECONDS = 3;
const START_TIMEOUT_MS = 10_000;
const SCRIPT = join(root, "scripts", "bench", "dns-process.ts");

/** Answers of a node's name server for names of the cluster, with the engine as agents have it. */
export async function benchDns(): Promise<Figure[]> {
  const server = spawn("taskset", ["-c", "0", bun, SCRIPT, "serve"], {
    env: { ...process.env, ...AGENT_ENGINE },
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    const port = await portOf(server);
    await ask(port, 0, WARM_UP_SECONDS);
    const pid = server.pid ?? 0;
    const before = cpuMs(pid);
    const { answered, ms } = await ask(port, 0, SECONDS);
    const taken = cpuMs(pid) - before;
    const half = await ask(port, GOAL / 2, SECONDS);
    const what = "DNS, 5,000 tasks of 500 services";
    return [
      {
        ...one(`${what}: answers a second of a core`, (answered * 1000) / taken, "/s", GOAL),
        atLeast: true,
        reference: `by the clock ${Math.round((answered * 1000) / ms)}/s`,
      },
      {
        ...one(`${what}: lost at ${GOAL / 2} a second`, half.sent - half.answered, "", 0),
        reference: `of ${half.sent} sent in ${Math.round(half.ms)} ms`,
      },
    ];
  } finally {
    server.stdin?.end();
  }
}

/** @param perSecond 0 asks as fast as answers come */
async function ask(port: number, perSecond: number, seconds: number): Promise<Asked> {
  const words = ["ask", String(port), String(perSecond), String(seconds)];
  const { stdout } = await $({ quiet: true })`taskset -c 1 ${bun} ${SCRIPT} ${words}`;
  return JSON.parse(stdout) as Asked;
}

async function portOf(server: ChildProcess): Promise<number> {
  if (server.stdout === null) throw new Error("the name server has no output");
  const late = pause(START_TIMEOUT_MS, undefined, { ref: false });
  const first: unknown[] | undefined = await Promise.race([once(server.stdout, "data"), late]);
  if (first === undefined) throw new Error("the name server did not start");
  return Number(String(first[0]));
}
