import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { createServer, connect, type Socket } from "node:net";
import { Fleet, type FleetHost } from "./lab/fleet.ts";
import { HELLO_IMAGE, writeHelloImage } from "./image.ts";
import { delimiter, join } from "node:path";
import { dist } from "./project.ts";

/*
 * `npm run lab -- up 3` makes three hosts on this machine and keeps them until Ctrl-C; from another
 * terminal the other commands work on them. Each host is bare: `npm run lab -- shell h1`, then
 * `dist/orchd server` and so on as on any machine.
 */
const CONTROL = "/var/tmp/orchd-lab.sock";
const COMMANDS: Record<string, { words: string; run: (lab: Fleet, words: string[]) => unknown }> = {
  ls: { words: "", run: (lab) => lab.hosts.map(formatHost).join("\n") },
  cut: { words: "HOST [HOST]", run: cut },
  restore: { words: "[HOST]", run: restore },
  delay: { words: "HOST MILLISECONDS", run: onPort((lab, port, ms) => lab.switch.delay(port, ms)) },
  loss: { words: "HOST PERCENT", run: onPort((lab, port, n) => lab.switch.lose(port, n)) },
  limit: { words: "HOST KBIT", run: onPort((lab, port, n) => lab.switch.limit(port, n)) },
  "power-cut": { words: "HOST", run: (lab, [name]) => lab.host(name ?? "").cutPower() },
  boot: { words: "HOST", run: (lab, [name]) => lab.host(name ?? "").boot() },
  skew: { words: "HOST OFFSET", run: (lab, [name, offset]) => skew(lab, name, offset) },
  readdress: {
    words: "0|1",
    run: (lab, [range]) => Promise.all(lab.hosts.map((h) => h.moveTo(range === "1" ? 1 : 0))),
  },
  image: { words: "", run: loadImages },
};

/** What the commands that enter a host ask for. */
const WHEREIS = "whereis";

const [command = "", ...words] = process.argv.slice(2);
process.exitCode = await main();

async function main(): Promise<number> {
  if (command === "up") return keepUp(Number(words[0] ?? 3));
  if (command === "exec" || command === "shell") return enter(words);
  if (COMMANDS[command] !== undefined) return ask([command, ...words]);
  const lines = Object.entries(COMMANDS).map(([name, { words }]) => `  ${name} ${words}`);
  const own = ["  up [COUNT]", "  exec HOST -- COMMAND", "  shell HOST"];
  console.error(["Usage: npm run lab -- COMMAND", ...own, ...lines].join("\n"));
  return 2;
}

async function keepUp(count: number): Promise<number> {
  if (existsSync(CONTROL)) {
    console.error(`Another lab is up, or was killed: end it, or remove ${CONTROL}.`);
    return 1;
  }
  const lab = await Fleet.start(count);
  const control = createServer({ allowHalfOpen: true }, (socket) => void answer(lab, socket));
  control.listen(CONTROL);
  console.log(`${lab.hosts.map(formatHost).join("\n")}\nCtrl-C ends it.`);
  await new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, resolve);
  });
  control.close();
  rmSync(CONTROL, { force: true });
  await lab.stop();
  return 0;
}

async function answer(lab: Fleet, socket: Socket): Promise<void> {
  socket.on("error", () => undefined);
  const [name = "", ...rest] = JSON.parse(await readAll(socket)) as string[];
  try {
    const said = name === WHEREIS ? whereIs(lab, rest) : await COMMANDS[name]?.run(lab, rest);
    socket.end(JSON.stringify({ said: typeof said === "string" ? said : "done" }));
  } catch (error) {
    // Whatever went wrong is for the person who typed the command.
    socket.end(JSON.stringify({ problem: error instanceof Error ? error.message : String(error) }));
  }
}

function whereIs(lab: Fleet, [name = ""]: string[]): string {
  const host = lab.host(name);
  return JSON.stringify({ pid: host.lab.pid, clock: host.clockEnvironment });
}

async function request(what: string[]): Promise<{ said?: string; problem?: string }> {
  const socket = connect(CONTROL);
  socket.end(JSON.stringify(what));
  return JSON.parse(await readAll(socket)) as { said?: string; problem?: string };
}

/** Unlike a stream's consumers it leaves the socket open for the answer. */
function readAll(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    socket.setEncoding("utf8").on("data", (piece: string) => (text += piece));
    socket.on("end", () => resolve(text)).on("error", reject);
  });
}

async function ask(what: string[]): Promise<number> {
  if (!existsSync(CONTROL)) {
    console.error("No lab is up: start one with `npm run lab -- up 3`.");
    return 1;
  }
  const { said, problem } = await request(what);
  if (problem !== undefined) console.error(problem);
  else console.log(said);
  return problem === undefined ? 0 : 1;
}

/** Sets the clock that commands see which `exec` and `shell` start from now on. */
function skew(lab: Fleet, name = "", offset = ""): void {
  lab.host(name).skewClock(offset);
}

/** Runs a command, or a shell, on a host, in this terminal. */
async function enter([name = "", ...rest]: string[]): Promise<number> {
  const { said, problem } = await request([WHEREIS, name]);
  if (said === undefined) {
    console.error(problem);
    return 1;
  }
  const { pid, clock } = JSON.parse(said) as { pid: number; clock: Record<string, string> };
  const program = command === "shell" ? ["sh"] : rest.slice(rest[0] === "--" ? 1 : 0);
  const namespaces = ["-t", `${pid}`, "-m", "-n", "-p", "-u", "-r", `--wdns=${process.cwd()}`];
  const path = `${dist}${delimiter}${process.env["PATH"] ?? ""}`;
  const env = { ...process.env, ...clock, PATH: path };
  return (
    spawnSync("nsenter", [...namespaces, "--", ...program], { stdio: "inherit", env }).status ?? 1
  );
}

function formatHost(host: FleetHost): string {
  return `${host.name} ${host.address} ${host.lab.pid}`;
}

async function cut(lab: Fleet, [a = "", b]: string[]): Promise<void> {
  if (b === undefined) return lab.host(a).cutLink();
  return lab.switch.cutBetween(lab.host(a).port, lab.host(b).port);
}

async function restore(lab: Fleet, [name]: string[]): Promise<void> {
  for (const host of name === undefined ? lab.hosts : [lab.host(name)]) await host.mendLink();
  await lab.switch.mend();
}

function onPort(run: (lab: Fleet, port: number, value: number) => Promise<void>) {
  return (lab: Fleet, [name = "", value = ""]: string[]) =>
    run(lab, lab.host(name).port, Number.parseInt(value, 10));
}

/** The example's image, in every host's Podman. */
async function loadImages(lab: Fleet): Promise<string> {
  for (const host of lab.hosts) {
    const archive = join(host.lab.dir, "hello.tar");
    writeHelloImage(archive, HELLO_IMAGE);
    await host.podman("load", "--input", archive);
  }
  return HELLO_IMAGE;
}
