import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HELLO_IMAGE, writeHelloImage } from "../image.ts";
import {
  hasEnded,
  Lab,
  pidInside,
  signalInside,
  waitUntil,
  type Output,
  type RunOptions,
} from "./lab.ts";
import { LAB_CONTAINERS, type LabContainers, type LabRuntime } from "./lab-containers.ts";
import { orchd as executable, root } from "../project.ts";
import type { ServiceSummary, TaskSummary } from "../../src/model/summary.ts";

const READY_TIMEOUT_MS = 20_000;
const ANSWER_TIMEOUT_MS = 2_000;
const CONVERGE_TIMEOUT_MS = 45_000;

/** Debian puts it in the folder of the machine's architecture. */
function faketimeLibrary(): string {
  const folders = readdirSync("/usr/lib").map((name) => `/usr/lib/${name}/faketime`);
  const folder = folders.find((path) => existsSync(path));
  if (folder === undefined) throw new Error("libfaketime is not installed");
  return `${folder}/libfaketimeMT.so.1`;
}

/** A machine of its own with the compiled orchd on it. */
export class Host {
  lab: Lab;
  readonly #kind: LabRuntime;
  /** Beside orchd. */
  readonly runtime: LabContainers;
  #server: ChildProcess | undefined;
  /** Everything that servers and agents here have printed. */
  log = "";
  /** What orchd's processes see of the time, by libfaketime; changed by `skewClock`. */
  #clock: Record<string, string> = {};

  constructor(lab: Lab, runtime: LabRuntime = "podman") {
    this.lab = lab;
    this.#kind = runtime;
    this.runtime = LAB_CONTAINERS[runtime](() => this.lab);
  }

  /** A machine without anything running. */
  static async bare(runtime?: LabRuntime): Promise<Host> {
    return new Host(await Lab.start(), runtime);
  }

  /** A machine with a server that is ready and has the image of the examples. */
  static async withServer(runtime?: LabRuntime): Promise<Host> {
    const host = await Host.bare(runtime);
    await host.startServer();
    await host.loadImage();
    return host;
  }

  async stop(): Promise<void> {
    await this.lab.stop();
  }

  /** Where the server keeps its data, as seen from both sides. */
  get dataDir(): string {
    return join(this.lab.dir, "orchd");
  }

  // The server

  async startServer(words: string[] = [], options: RunOptions = {}): Promise<void> {
    const begin = this.log.length;
    const server = this.spawnServer(words, options);
    await waitUntil("the server is ready", READY_TIMEOUT_MS, async () => {
      if (hasEnded(server)) throw new Error(`the server ended:\n${this.log}`);
      if (!this.log.includes("reach it on", begin)) return false;
      return (await this.orchd("nodes", "--json")).stdout.includes('"health":"ready"');
    });
  }

  spawnServer(words: string[] = [], options: RunOptions = {}): ChildProcess {
    return this.#spawnRole(["server", ...this.#runtimeWords(), ...words], options);
  }

  /** Starts `orchd join` with further words; it runs on whether a server answers or not. */
  spawnAgent(words: string[] = [], options: RunOptions = {}): ChildProcess {
    return this.#spawnRole(["join", ...this.#runtimeWords(), ...words], options);
  }

  /** Podman is what orchd takes by itself. */
  #runtimeWords(): string[] {
    return this.#kind === "podman" ? [] : ["--runtime", this.#kind];
  }

  /**
   * Sets the clock that orchd's next process here sees, in libfaketime's words: `-5y`, `+10m`, or
   * `@1970-01-01 00:00:10`; an empty text sets it right.
   */
  skewClock(offset: string): void {
    this.#clock =
      offset === ""
        ? {}
        : { LD_PRELOAD: faketimeLibrary(), FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1" };
  }

  /** What a process needs in its environment to see the host's clock. */
  get clockEnvironment(): Record<string, string> {
    return this.#clock;
  }

  #spawnRole(words: string[], options: RunOptions): ChildProcess {
    const env = { ...this.#clock, ...options.env };
    const child = this.lab.spawn([executable, ...words], { ...options, env });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (this.log += text));
    }
    this.#server = child;
    return child;
  }

  /** Ends the server, by default as a power cut would end it, and waits until it has gone. */
  async endServer(signal: NodeJS.Signals = "SIGKILL"): Promise<number | null> {
    const server = this.#server;
    if (server === undefined) throw new Error("no server was started");
    signalInside(server, signal);
    await waitUntil("the server has ended", READY_TIMEOUT_MS, () => hasEnded(server));
    return server.exitCode;
  }

  get serverPid(): number {
    if (this.#server === undefined) throw new Error("no server was started");
    return pidInside(this.#server);
  }

  /** A new join token of the server here. */
  async token(...words: string[]): Promise<string> {
    const { text } = JSON.parse(await this.must("token", "create", "--json", ...words)) as {
      text: string;
    };
    return text;
  }

  // Commands

  async orchd(...words: string[]): Promise<Output> {
    return this.orchdWith({}, ...words);
  }

  async orchdWith(options: RunOptions, ...words: string[]): Promise<Output> {
    return this.lab.run([executable, ...words], options);
  }

  /** Runs a command that must succeed; answers what it printed. */
  async must(...words: string[]): Promise<string> {
    const output = await this.orchd(...words);
    if (output.code !== 0) {
      throw new Error(`orchd ${words.join(" ")} ended with ${output.code}: ${output.stderr}`);
    }
    return output.stdout;
  }

  /** What a listing prints with `--json`; its shape is that of src/model/summary.ts. */
  async json<T>(...words: string[]): Promise<T> {
    return JSON.parse(await this.must(...words, "--json")) as T;
  }

  async podman(...words: string[]): Promise<string> {
    const output = await this.lab.podman(...words);
    if (output.code !== 0) throw new Error(`podman ${words.join(" ")}: ${output.stderr}`);
    return output.stdout.trim();
  }

  // Stacks

  async loadImage(reference = HELLO_IMAGE): Promise<void> {
    const archive = join(this.lab.dir, "hello.tar");
    writeHelloImage(archive, reference);
    await this.must("image", "load", archive);
  }

  /** Writes a file on the machine; answers its path. */
  write(name: string, text: string | Uint8Array): string {
    const path = join(this.lab.dir, "files", name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  async up(compose: string, ...words: string[]): Promise<Output> {
    return this.orchd("up", "-f", this.write("compose.yaml", compose), ...words);
  }

  /** Runs `orchd up`, which must converge. */
  async mustUp(compose: string, ...words: string[]): Promise<void> {
    const output = await this.up(compose, ...words);
    if (output.code !== 0) throw new Error(`up ended with ${output.code}: ${output.stderr}`);
  }

  async tasks(stack: string): Promise<TaskSummary[]> {
    return this.json<TaskSummary[]>("ps", stack);
  }

  async running(stack: string): Promise<TaskSummary[]> {
    return (await this.tasks(stack)).filter((task) => task.state === "running");
  }

  async service(name: string): Promise<ServiceSummary> {
    const services = await this.json<ServiceSummary[]>("services");
    const found = services.find((service) => `${service.stack}/${service.name}` === name);
    if (found === undefined) throw new Error(`there is no service ${name}`);
    return found;
  }

  async waitConverged(name: string): Promise<ServiceSummary> {
    await this.waitFor(`${name} has converged`, async () => (await this.service(name)).converged);
    return this.service(name);
  }

  async waitFor(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
    await waitUntil(what, CONVERGE_TIMEOUT_MS, isTrue);
  }

  /** A line for each running container of a stack, its id first, from the runtime itself. */
  async containers(stack: string): Promise<string[]> {
    return this.runtime.running(stack);
  }

  /** The body of an HTTP answer on the machine, or nothing when none came. */
  async get(url: string): Promise<string | undefined> {
    const command = ["busybox", "wget", "-q", "-O", "-", url];
    const output = await this.lab.run(command, { timeoutMs: ANSWER_TIMEOUT_MS });
    return output.code === 0 ? output.stdout.trim() : undefined;
  }

  /** Size and time of change of each file in the data directory. */
  dataFiles(): string[] {
    return readdirSync(this.dataDir, { recursive: true, encoding: "utf8" })
      .sort()
      .map((name) => {
        const { size, mtimeMs } = statSync(join(this.dataDir, name));
        return `${name} ${size} ${mtimeMs}`;
      });
  }
}

/** The rules for a published port follow the tasks behind it by a moment. */
export async function waitForAnswer(host: Host, url: string): Promise<void> {
  await host.waitFor(`${url} answers`, async () => (await host.get(url)) !== undefined);
}

/** The example that `npm start` deploys. */
export const HELLO = readFileSync(join(root, "compose/hello/compose.yaml"), "utf8");

/** A stack of one service that needs no image but the example's. */
export function aStack(name: string, service: string): string {
  const lines = service.trimEnd().split("\n");
  const body = lines.map((line) => `    ${line}`).join("\n");
  const image = `    image: ${HELLO_IMAGE}\n    pull_policy: never`;
  return `name: ${name}\nservices:\n  app:\n${image}\n${body}\n`;
}
