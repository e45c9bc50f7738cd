import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { newId } from "../../src/lib/ids.ts";
import { systemRandom } from "../../src/lib/random.ts";
import type { NodeId, TaskId } from "../../src/model/ids.ts";
import { DockerRuntime } from "../../src/runtime/docker/docker-runtime.ts";
import { CONFORMANCE_IMAGE, ContainerdProcess, makeArchive } from "./runtime-containerd-lab.ts";
import { taskIdsOf } from "./runtime-task.ts";
import type { RuntimeLab } from "./runtime.ts";
import { takeArchive } from "./runtime-take.ts";
import { until } from "./runtime-until.ts";
import { skipSuite } from "./skip-suite.ts";
import { containerNameOf } from "../../src/model/assignment.ts";
import { SocketWire } from "./runtime-wire.ts";

const PROGRAMS = [
  ["dockerd", "docker.io"],
  ["containerd", "containerd"],
  ["runc", "runc"],
  ["busybox", "busybox-static"],
] as const;

/** Whether suites of Docker can run here; where not it says why. */
export function hasDocker(suite: string): boolean {
  const reason = whyNot();
  if (reason === undefined) return true;
  return skipSuite(suite, reason);
}

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  const missing = PROGRAMS.find(([program]) => Bun.which(program) === null);
  return missing && `${missing[0]} is not installed (apt install ${missing[1]})`;
}

/** More than the suite needs: what the tests of Docker alone look at. */
export interface DockerLab extends RuntimeLab {
  runtime: DockerRuntime;
  nodeId: NodeId;
  dir: string;
  options(): Parameters<typeof DockerRuntime.open>[0];
  /** A call of Docker's interface, which has to succeed. */
  call(method: string, path: string, body?: unknown): Promise<string>;
  load(path: string): Promise<void>;
}

/** A Docker of its own: storage, sockets, containerd and networks in a directory of the suite. */
export async function makeDockerLab(bridge: string, subnet: string): Promise<DockerLab> {
  const dir = await mkdtemp(join(tmpdir(), "orchd-conformance-"));
  const containerd = await ContainerdProcess.start(dir);
  const service = await Service.start(dir, containerd.socketPath);
  const { socketPath } = service;
  const nodeId = newId<"node">(systemRandom);
  const options = () => ({
    nodeId,
    runDir: join(dir, "run"),
    dataDir: join(dir, "data"),
    clock: systemClock,
    socket: socketPath,
  });
  const call = (method: string, path: string, body?: unknown) =>
    callDocker(socketPath, method, path, body);
  const runtime = await DockerRuntime.open(options());
  const archive = join(dir, "image.tar");
  const load = (path: string) => takeArchive(runtime, path);
  await makeArchive(dir, archive);
  await load(archive);
  return {
    runtime,
    nodeId,
    dir,
    options,
    call,
    load,
    image: CONFORMANCE_IMAGE,
    archive: () => Bun.file(archive).stream(),
    network: { name: bridge, subnet: `${subnet}.0/24`, gateway: `${subnet}.1` },
    reopen: () => DockerRuntime.open(options()),
    crash: async (taskId) => {
      process.kill(await pidOf(runtime, call, taskId), "SIGKILL");
    },
    removeBehindBack: async (taskId) => {
      await call("DELETE", `/containers/${await idOf(runtime, taskId)}?force=true&v=true`);
    },
    interrupt: () => service.interrupt(),
    wired: async () => {
      const wire = await SocketWire.lay(join(dir, "wire.sock"), socketPath, "http");
      const through = await DockerRuntime.open({ ...options(), socket: wire.path });
      return { runtime: through, wire, close: () => wire.cut() };
    },
    remains: async () => {
      const listed = await call("GET", "/containers/json?all=true");
      const labelled = [...listed.matchAll(/"orchd\.task":"(\w+)"/g)].map(([, id = ""]) => id);
      return taskIdsOf([...labelled, ...readdirSync(join(dir, "data", "docker", "etc"))]);
    },
    stranger: async (assignment) => {
      const name = containerNameOf(assignment);
      const body = { Image: CONFORMANCE_IMAGE, Cmd: ["true"] };
      await call("POST", `/containers/create?name=${name}`, body);
      return {
        isThere: async () => (await call("GET", "/containers/json?all=true")).includes(name),
        remove: async () => void (await call("DELETE", `/containers/${name}`)),
      };
    },
    close: async () => {
      for (const { taskId } of await runtime.list()) await runtime.remove(taskId);
      await runtime.removeNetwork(bridge);
      await service.end();
      await containerd.halt();
      await leaveNothing(dir);
    },
  };
}

class Service {
  readonly #dir: string;
  readonly #containerd: string;
  readonly socketPath: string;
  #process: Bun.Subprocess | undefined;

  private constructor(dir: string, containerd: string) {
    this.#dir = dir;
    this.#containerd = containerd;
    this.socketPath = join(dir, "docker.sock");
  }

  static async start(dir: string, containerd: string): Promise<Service> {
    const service = new Service(dir, containerd);
    await writeFile(join(dir, "daemon.json"), JSON.stringify({ "live-restore": true }));
    await service.#start();
    return service;
  }

  /** It is killed, and comes back; containers go on, as it is set up. */
  async interrupt(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
    // As a new one would find those of one that was killed with the machine.
    await rm(join(this.#dir, "docker.pid"), { force: true });
    await this.#start();
  }

  async end(): Promise<void> {
    this.#process?.kill("SIGTERM");
    await this.#process?.exited;
  }

  async #start(): Promise<void> {
    const at = (name: string) => join(this.#dir, name);
    const words = [
      ["--config-file", at("daemon.json")],
      ["--containerd", this.#containerd],
      ["--data-root", at("docker")],
      ["--exec-root", at("exec")],
      ["--pidfile", at("docker.pid")],
      ["--host", `unix://${this.socketPath}`],
      ["--log-level", "error"],
      // What is on the machine besides is left alone.
      ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"],
    ].flat();
    const errors = at("error.log");
    const started = Bun.spawn(["dockerd", ...words], {
      stdio: ["ignore", "ignore", Bun.file(errors)],
      env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
    });
    this.#process = started;
    await until(
      "Docker",
      async () => {
        if (started.exitCode !== null) throw new Error(await readFile(errors, "utf8"));
        return callDocker(this.socketPath, "GET", "/_ping").then(
          () => true,
          () => false,
        );
      },
      30_000,
    );
  }
}

async function callDocker(
  unix: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<string> {
  const reply = await fetch(`http://docker/v1.41${path}`, {
    method,
    unix,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${method} ${path}: ${text}`);
  return text;
}

async function idOf(runtime: DockerRuntime, taskId: TaskId): Promise<string> {
  const status = await runtime.inspect(taskId);
  if (status === undefined) throw new Error(`task ${taskId} has no container`);
  return status.containerId;
}

async function pidOf(
  runtime: DockerRuntime,
  call: DockerLab["call"],
  taskId: TaskId,
): Promise<number> {
  const text = await call("GET", `/containers/${await idOf(runtime, taskId)}/json`);
  return Number(/"Pid":(\d+)/.exec(text)?.[1]);
}

/** Ends what a failed test has left, unmounts what is below the directory, and removes it. */
async function leaveNothing(dir: string): Promise<void> {
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    // Empty for one that has ended meanwhile.
    const line = await readFile(`/proc/${entry}/cmdline`, "utf8").catch(() => "");
    if (line.includes(`${dir}/`)) await Bun.$`kill -KILL ${entry}`.quiet().nothrow();
  }
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n");
  const paths = mounts.flatMap((line) => line.split(" ")[1] ?? []);
  const below = paths.filter((path) => path.startsWith(`${dir}/`));
  for (const path of below.reverse()) await Bun.$`umount --lazy ${path}`.quiet().nothrow();
  if (existsSync(dir)) await rm(dir, { recursive: true, force: true });
}
