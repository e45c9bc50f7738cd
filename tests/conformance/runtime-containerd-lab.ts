import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { newId } from "../../src/lib/ids.ts";
import { systemRandom } from "../../src/lib/random.ts";
import type { NodeId } from "../../src/model/ids.ts";
import {
  type ContainerdOptions,
  ContainerdRuntime,
} from "../../src/runtime/containerd/containerd-runtime.ts";
import { taskIdsOf } from "./runtime-task.ts";
import type { RuntimeLab, Stranger, Wired } from "./runtime.ts";
import { takeArchive } from "./runtime-take.ts";
import { until } from "./runtime-until.ts";
import { skipSuite } from "./skip-suite.ts";
import { SocketWire } from "./runtime-wire.ts";

export const CONFORMANCE_IMAGE = "localhost/orchd-conformance:1";
const APPLETS =
  "sh sleep cat echo true stty id pwd ls dd tr head grep mount hostname cut readlink stat od".split(
    " ",
  );
/** The image itself has these, which tests of volumes and users look at. */
const PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/srv:/bin/sh\n";
const GROUP = "root:x:0:\nweb:x:1001:\naudio:x:29:web\n";

/**
 * Whether suites against a real containerd can run here. Where they can't it registers a skipped
 * test that says why, and prints it.
 */
export function hasContainerd(suite: string): boolean {
  const reason = whyNoContainerd();
  if (reason === undefined) return true;
  return skipSuite(suite, reason);
}

function whyNoContainerd(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  for (const [program, name] of [
    ["containerd", "containerd"],
    ["runc", "runc"],
    ["ip", "iproute2"],
  ] as const) {
    if (Bun.which(program) === null) return `${program} is not installed (apt install ${name})`;
  }
  if (busybox() === undefined) return "busybox is not installed (apt install busybox-static)";
  return undefined;
}

/** More than the suite needs: what the tests of containerd alone look at. */
export interface ContainerdLab extends RuntimeLab {
  runtime: ContainerdRuntime;
  nodeId: NodeId;
  dir: string;
  socketPath: string;
  archivePath: string;
  options(): ContainerdOptions;
  /** containerd's own command line, in orchd's namespace. */
  ctr(...args: string[]): Promise<string>;
  /** Ends containerd without starting it again, and starts it. */
  halt(): Promise<void>;
  resume(): Promise<void>;
}

/** A containerd of its own: root, state and socket in a directory of the suite. */
export async function makeContainerdLab(bridge: string, subnet: string): Promise<ContainerdLab> {
  const dir = await mkdtemp(join(tmpdir(), "orchd-conformance-"));
  const service = await ContainerdProcess.start(dir);
  const { socketPath } = service;
  const nodeId = newId<"node">(systemRandom);
  const options = () => ({
    nodeId,
    runDir: join(dir, "run"),
    dataDir: join(dir, "data"),
    clock: systemClock,
    socket: socketPath,
  });
  const ctr = (...args: string[]) => run(["ctr", "-a", socketPath, "-n", "orchd", ...args]);
  const runtime = await ContainerdRuntime.open(options());
  const opened = [runtime];
  const archive = join(dir, "image.tar");
  await makeArchive(dir, archive);
  await takeArchive(runtime, archive);
  return {
    runtime,
    nodeId,
    dir,
    socketPath,
    options,
    ctr,
    image: CONFORMANCE_IMAGE,
    archivePath: archive,
    archive: () => Bun.file(archive).stream(),
    network: { name: bridge, subnet: `${subnet}.0/24`, gateway: `${subnet}.1` },
    reopen: async () => {
      const again = await ContainerdRuntime.open(options());
      opened.push(again);
      return again;
    },
    crash: async (taskId) => {
      process.kill(await pidOf(ctr, taskId), "SIGKILL");
    },
    removeBehindBack: async (taskId) => {
      const tasks = await ctr("task", "list", "--quiet");
      if (tasks.includes(taskId)) await ctr("task", "delete", "--force", taskId);
      await ctr("container", "delete", taskId);
    },
    interrupt: async () => {
      await service.halt();
      await service.resume();
    },
    wired: () => wiredBy(options()),
    remains: async () => {
      const lists = ["container list --quiet", "task list --quiet", "snapshot list"];
      const listed = await Promise.all(lists.map((words) => ctr(...words.split(" "))));
      const names = listed.flatMap((text) => text.split("\n").map((line) => line.split(/\s/)[0]));
      const path = join(dir, "data", "containerd", "containers");
      const directories = existsSync(path) ? readdirSync(path) : [];
      return taskIdsOf([...names.map((name) => name ?? ""), ...directories]);
    },
    stranger: ({ taskId }) => strangerBy(ctr, taskId),
    halt: () => service.halt(),
    resume: () => service.resume(),
    close: async () => {
      for (const { taskId } of await runtime.list()) await runtime.remove(taskId);
      await runtime.removeNetwork(bridge);
      for (const one of opened) await one.close();
      await service.halt();
      await leaveNothing(dir);
    },
  };
}

async function wiredBy(options: ContainerdOptions): Promise<Wired> {
  const { runDir, socket = "" } = options;
  const wire = await SocketWire.lay(join(runDir, "wire.sock"), socket, "grpc");
  const runtime = await ContainerdRuntime.open({ ...options, socket: wire.path });
  const close = async () => {
    await runtime.close();
    await wire.cut();
  };
  return { runtime, wire, close };
}

async function strangerBy(ctr: ContainerdLab["ctr"], taskId: string): Promise<Stranger> {
  await ctr("container", "create", "--snapshotter", "overlayfs", CONFORMANCE_IMAGE, taskId);
  return {
    isThere: async () => (await ctr("container", "list", "--quiet")) === taskId,
    remove: async () => void (await ctr("container", "delete", taskId)),
  };
}

/** A containerd with its files in a directory of its own. */
export class ContainerdProcess {
  readonly #dir: string;
  readonly socketPath: string;
  #process: Bun.Subprocess | undefined;

  private constructor(dir: string) {
    this.#dir = dir;
    this.socketPath = join(dir, "containerd.sock");
  }

  static async start(dir: string): Promise<ContainerdProcess> {
    const service = new ContainerdProcess(dir);
    await writeFile(join(dir, "config.toml"), configOf(dir, service.socketPath));
    await service.resume();
    return service;
  }

  async halt(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  async resume(): Promise<void> {
    const errors = join(this.#dir, "error.log");
    const started = Bun.spawn(["containerd", "--config", join(this.#dir, "config.toml")], {
      stdio: ["ignore", "ignore", Bun.file(errors)],
    });
    this.#process = started;
    await until("containerd", async () => {
      if (started.exitCode !== null) throw new Error(await readFile(errors, "utf8"));
      return run(["ctr", "-a", this.socketPath, "version"]).then(
        () => true,
        () => false,
      );
    });
  }
}

async function pidOf(ctr: ContainerdLab["ctr"], taskId: string): Promise<number> {
  const lines = (await ctr("task", "list")).split("\n").map((line) => line.split(/\s+/));
  const found = lines.find(([id]) => id === taskId)?.[1];
  if (found === undefined) throw new Error(`task ${taskId} has no process`);
  return Number(found);
}

function configOf(dir: string, socketPath: string): string {
  return [
    "version = 2",
    `root = "${dir}/root"`,
    `state = "${dir}/state"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    "[grpc]",
    `  address = "${socketPath}"`,
    "[ttrpc]",
    `  address = "${socketPath}.ttrpc"`,
    "",
  ].join("\n");
}

/** An image of busybox and two accounts, as `docker save` writes one. */
export async function makeArchive(dir: string, archive: string): Promise<void> {
  const root = join(dir, "rootfs");
  const bin = join(root, "bin");
  await mkdir(bin, { recursive: true });
  await cp(busybox() ?? "", join(bin, "busybox"));
  await Bun.$`chmod 755 ${join(bin, "busybox")}`.quiet();
  for (const applet of APPLETS) await symlink("busybox", join(bin, applet));
  for (const path of ["etc", "srv", "tmp", "proc", "sys", "dev"]) await mkdir(join(root, path));
  await writeFile(join(root, "etc", "passwd"), PASSWD);
  await writeFile(join(root, "etc", "group"), GROUP);
  await writeFile(join(root, "srv", "index"), "from the image\n");
  const parts = join(dir, "image");
  await mkdir(parts);
  await Bun.$`tar -C ${root} -cf ${join(parts, "layer.tar")} .`.quiet();
  const layer = new Uint8Array(await Bun.file(join(parts, "layer.tar")).arrayBuffer());
  const diff = `sha256:${new Bun.CryptoHasher("sha256").update(layer).digest("hex")}`;
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const config = {
    created: "2026-01-01T00:00:00Z",
    os: "linux",
    architecture,
    config: {},
    rootfs: { type: "layers", diff_ids: [diff] },
  };
  const manifest = [
    { Config: "config.json", RepoTags: [CONFORMANCE_IMAGE], Layers: ["layer.tar"] },
  ];
  await writeFile(join(parts, "config.json"), JSON.stringify(config));
  await writeFile(join(parts, "manifest.json"), JSON.stringify(manifest));
  await Bun.$`tar -C ${parts} -cf ${archive} layer.tar config.json manifest.json`.quiet();
}

async function run(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "pipe"] });
  const [out, error, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${error}`);
  return out.trim();
}

function busybox(): string | undefined {
  return ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path));
}

/** Ends shims that a failed test has left, unmounts what is below the directory, and removes it. */
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
  await rm(dir, { recursive: true, force: true });
}
