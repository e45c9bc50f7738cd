import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { newId } from "../../src/lib/ids.ts";
import { systemRandom } from "../../src/lib/random.ts";
import type { NodeId, TaskId } from "../../src/model/ids.ts";
import { PodmanRuntime } from "../../src/runtime/podman/podman-runtime.ts";
import { taskIdsOf } from "./runtime-task.ts";
import type { RuntimeLab, Stranger } from "./runtime.ts";
import { skipSuite } from "./skip-suite.ts";
import { containerNameOf } from "../../src/model/assignment.ts";
import { SocketWire } from "./runtime-wire.ts";

const IMAGE = "localhost/orchd-conformance:1";
const APPLETS = [
  "sh",
  "sleep",
  "cat",
  "echo",
  "true",
  "stty",
  "id",
  "pwd",
  "ls",
  "dd",
  "tr",
  "head",
];

/**
 * Whether suites against a real Podman can run here. Where they can't it registers a skipped test
 * that says why, and prints it.
 */
export function hasPodman(suite: string): boolean {
  const reason = whyNoPodman();
  if (reason === undefined) return true;
  return skipSuite(suite, reason);
}

/** Why a real Podman can't be tested here; undefined when it can. */
function whyNoPodman(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  if (Bun.which("podman") === null) return "podman is not installed (apt install podman runc)";
  if (busybox() === undefined) return "busybox is not installed (apt install busybox-static)";
  return undefined;
}

/** More than the suite needs: what the tests of Podman alone look at. */
export interface PodmanLab extends RuntimeLab {
  runtime: PodmanRuntime;
  nodeId: NodeId;
  dir: string;
  /** Podman's command line on the lab's own storage. */
  podman(...args: string[]): Promise<string>;
  options(): Parameters<typeof PodmanRuntime.open>[0];
  socketPath: string;
}

/** A Podman of its own: storage, networks, locks and service in a directory of the suite. */
export async function makePodmanLab(bridge: string, subnet: string): Promise<PodmanLab> {
  const dir = await mkdtemp(join(tmpdir(), "orchd-conformance-"));
  // Locks in files: those in shared memory would be common with the machine's own Podman.
  await writeFile(join(dir, "containers.conf"), '[engine]\nlock_type = "file"\n');
  const nodeId = newId<"node">(systemRandom);
  const environment = { CONTAINERS_CONF: join(dir, "containers.conf") };
  const flags = [
    ["--root", join(dir, "root")],
    ["--runroot", join(dir, "runroot")],
    ["--tmpdir", join(dir, "tmp")],
    ["--network-config-dir", join(dir, "networks")],
  ].flat();
  const options = () => ({ nodeId, runDir: dir, clock: systemClock, flags, environment });
  const podman = (...args: string[]) => runPodman([...flags, ...args], environment);
  const socketPath = join(dir, "podman.sock");
  const archive = join(dir, "image.tar");
  const runtime = await PodmanRuntime.open(options());
  const close = async () => {
    await podman("rm", "--all", "--force", "--time", "0");
    const networks = (await podman("network", "ls", "--quiet")).split("\n");
    if (networks.includes(bridge)) await podman("network", "rm", "--force", bridge);
    await runtime.close();
    await leaveNothing(dir);
  };
  try {
    await importImage(dir, socketPath);
    await podman("save", "--quiet", "--output", archive, IMAGE);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    runtime,
    nodeId,
    dir,
    podman,
    options,
    socketPath,
    image: IMAGE,
    archive: () => Bun.file(archive).stream(),
    network: { name: bridge, subnet: `${subnet}.0/24`, gateway: `${subnet}.1` },
    reopen: () => PodmanRuntime.open(options()),
    crash: async (taskId) => {
      process.kill(await pidOf(podman, taskId), "SIGKILL");
    },
    removeBehindBack: async (taskId) => {
      await podman("rm", "--force", "--time", "0", await idOf(podman, taskId));
    },
    interrupt: async () => {
      process.kill(await servicePid(socketPath), "SIGKILL");
    },
    wired: async () => {
      const wire = await SocketWire.lay(join(dir, "wire.sock"), socketPath, "http");
      const { flags: _, ...others } = options();
      const through = await PodmanRuntime.open({ ...others, socket: wire.path });
      return { runtime: through, wire, close: () => wire.cut() };
    },
    remains: async () => {
      const format = '{{index .Labels "orchd.task"}}';
      return taskIdsOf((await podman("ps", "--all", "--format", format)).split("\n"));
    },
    stranger: (assignment) => strangerBy(podman, containerNameOf(assignment)),
    close,
  };
}

async function strangerBy(podman: PodmanLab["podman"], name: string): Promise<Stranger> {
  await podman("create", "--network", "none", "--name", name, IMAGE, "true");
  return {
    isThere: async () => (await podman("ps", "--all", "--format", "{{.Names}}")) === name,
    remove: async () => void (await podman("rm", name)),
  };
}

/** The process behind a socket, by its command line. */
export async function servicePid(socketPath: string): Promise<number> {
  const [pid] = await processesWith(`unix://${socketPath}`);
  if (pid === undefined) throw new Error("Podman's service does not run");
  return pid;
}

async function processesWith(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    // Empty for one that has ended meanwhile.
    const line = await readFile(`/proc/${entry}/cmdline`, "utf8").catch(() => "");
    if (line.includes(text)) found.push(Number(entry));
  }
  return found;
}

async function runPodman(args: string[], environment: Record<string, string>): Promise<string> {
  const child = Bun.spawn(
    ["podman", "--cgroup-manager", "cgroupfs", "--events-backend", "file", ...args],
    {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`podman ${args.join(" ")}: ${err}`);
  return out.trim();
}

async function idOf(podman: PodmanLab["podman"], taskId: TaskId): Promise<string> {
  return podman("ps", "--all", "--quiet", "--no-trunc", "--filter", `label=orchd.task=${taskId}`);
}

async function pidOf(podman: PodmanLab["podman"], taskId: TaskId): Promise<number> {
  const id = await idOf(podman, taskId);
  return Number(await podman("inspect", "--format", "{{.State.Pid}}", id));
}

function busybox(): string | undefined {
  return ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path));
}

/** An image of busybox alone, made without any registry. */
async function importImage(dir: string, socketPath: string): Promise<void> {
  const bin = join(dir, "rootfs", "bin");
  await mkdir(bin, { recursive: true });
  await Bun.write(join(bin, "busybox"), Bun.file(busybox() ?? ""));
  await Bun.$`chmod 755 ${join(bin, "busybox")}`.quiet();
  for (const applet of APPLETS) await symlink("busybox", join(bin, applet));
  const tar = join(dir, "rootfs.tar");
  await Bun.$`tar -C ${join(dir, "rootfs")} -cf ${tar} .`.quiet();
  const query = new URLSearchParams({ reference: IMAGE });
  const reply = await fetch(`http://podman/v4.0.0/libpod/images/import?${query.toString()}`, {
    method: "POST",
    unix: socketPath,
    body: Bun.file(tar),
    headers: { "content-type": "application/x-tar" },
  });
  if (!reply.ok) throw new Error(`the test image could not be made: ${await reply.text()}`);
}

/**
 * Ends the monitors that Podman leaves for five minutes after each command that was run in a
 * container, unmounts its storage, which is mounted on itself, and removes the directory.
 */
async function leaveNothing(dir: string): Promise<void> {
  for (const pid of await processesWith(`${dir}/`)) {
    // One that ends by itself just now is as good.
    await Bun.$`kill -KILL ${pid}`.quiet().nothrow();
  }
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n");
  const paths = mounts.flatMap((line) => line.split(" ")[1] ?? []);
  const below = paths.filter((path) => path.startsWith(`${dir}/`));
  for (const path of below.reverse()) await Bun.$`umount --lazy ${path}`.quiet().nothrow();
  await rm(dir, { recursive: true, force: true });
}
