import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "zx";
import { AGENT_ENGINE } from "../../src/agent/engine.ts";
import { waitUntil } from "../lab/lab.ts";
import { prepareMachine } from "../machine.ts";
import { bun, root } from "../project.ts";
import { median, type Figure } from "./figure.ts";
import { cpuMs } from "./process-cost.ts";

const NGINX = { program: "nginx", package: "nginx-light" };
const WRK = { program: "wrk", package: "wrk" };
const UPSTREAM = 9801;
const REFERENCE = 9802;
const SERVER = 9803;
const AGENT = 9804;
const CONNECTIONS = 32;
const SECONDS = 3;
const ROUNDS = 3;
const READY_TIMEOUT_MS = 10_000;

/** A proxy, and what it came to in each round. */
interface Contender {
  name: string;
  port: number;
  pid: number;
  perSecond: number[];
  /** What a request cost its process, in microseconds. */
  cpuUs: number[];
}

/** Requests a second through the ingress and through nginx with one worker, to the same program. */
export async function benchIngress(): Promise<Figure[]> {
  const problem = await prepareMachine([NGINX, WRK]);
  if (problem !== undefined) throw new Error(problem);
  const directory = mkdtempSync(join(tmpdir(), "orchd-bench-"));
  const children: ChildProcess[] = [];
  const start = (command: string, words: string[], env: Record<string, string> = {}) => {
    const child = spawn(command, words, { env: { ...process.env, ...env }, stdio: "ignore" });
    children.push(child);
    return child.pid ?? 0;
  };
  const nginx = (name: string, body: string) => {
    const file = join(directory, `${name}.conf`);
    writeFileSync(file, nginxConfig(join(directory, name), body));
    // One process alone, so that all of its work is counted.
    return start("nginx", ["-c", file, "-p", directory, "-g", "master_process off;"]);
  };
  const proxy = join(root, "scripts", "bench", "ingress-process.ts");
  const words = (port: number) => [proxy, String(port), String(UPSTREAM)];
  try {
    nginx("upstream", `listen 127.0.0.1:${UPSTREAM}; location / { return 200 "${PAGE}"; }`);
    const pids = {
      nginx: nginx("proxy", `listen 127.0.0.1:${REFERENCE}; location / { ${PASS} }`),
      server: start(bun, words(SERVER)),
      agent: start(bun, words(AGENT), { ...AGENT_ENGINE }),
    };
    const reference = contender("nginx", REFERENCE, pids.nginx);
    const server = contender("on a server's machine", SERVER, pids.server);
    const agent = contender("on an agent's machine", AGENT, pids.agent);
    for (const one of [reference, server, agent]) await untilAnswers(one.port);
    for (let round = 0; round < ROUNDS; round++) {
      for (const one of [reference, server, agent]) await load(one);
    }
    return [server, agent].flatMap((one) => figuresOf(one, reference));
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}

const PAGE = "x".repeat(200);
const PASS =
  'proxy_pass http://upstream; proxy_http_version 1.1; proxy_set_header Connection ""; ' +
  "proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; " +
  "proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;";

function nginxConfig(prefix: string, server: string): string {
  return `daemon off; worker_processes 1; pid ${prefix}.pid; error_log ${prefix}.log;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 100000000;
  upstream upstream { server 127.0.0.1:${UPSTREAM}; keepalive 64; }
  server { ${server} }
}
`;
}

function contender(name: string, port: number, pid: number): Contender {
  return { name, port, pid, perSecond: [], cpuUs: [] };
}

async function untilAnswers(port: number): Promise<void> {
  await waitUntil(`port ${port} answers`, READY_TIMEOUT_MS, async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    return answer?.status === 200;
  });
}

async function load(one: Contender): Promise<void> {
  const before = cpuMs(one.pid);
  const url = `http://127.0.0.1:${one.port}/`;
  const { stdout } = await $`wrk -t1 -c${CONNECTIONS} -d${SECONDS}s ${url}`.quiet();
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  if (stdout.includes("Non-2xx") || stdout.includes("Socket errors")) throw new Error(stdout);
  one.perSecond.push(requests / SECONDS);
  one.cpuUs.push(((cpuMs(one.pid) - before) * 1000) / requests);
}

function figuresOf(one: Contender, reference: Contender): Figure[] {
  const per = (key: "perSecond" | "cpuUs", unit: string) => {
    const [ours, theirs] = [median(one[key]), median(reference[key])];
    const against = `nginx, one worker: ${Math.round(theirs)} ${unit}`;
    return { value: ours / theirs, unit: "times", reference: against, samples: one[key] };
  };
  return [
    {
      what: `ingress ${one.name}: requests a second`,
      ...per("perSecond", "1/s"),
      limit: 0.5,
      atLeast: true,
    },
    { what: `ingress ${one.name}: processor time of a request`, ...per("cpuUs", "us") },
  ];
}
