import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { realpathSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { newId } from "../../src/lib/ids.ts";
import { systemRandom } from "../../src/lib/random.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { hasContainerd, makeContainerdLab, type ContainerdLab } from "./runtime-containerd-lab.ts";
import { hasProcesses } from "./runtime-process-lab.ts";
import { aTask } from "./runtime-task.ts";

const TIMEOUT_MS = 60_000;
const PROGRAM = fileURLToPath(import.meta.resolve("./runtime-odd-machine.ts"));
const CGROUPS = "/sys/fs/cgroup";
const PROGRAMS = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
const MEMORY = { memoryBytes: 64 * 1024 * 1024 };
const CMDLINE = "cgroup_enable=memory cgroup_memory=1 into the line of /boot/firmware/cmdline.txt";

interface Odd {
  /** Programs that are not on the machine. */
  without?: string[];
  /** Directories in which nothing is. */
  empty?: string[];
}

/** What a driver says, as JSON, on a machine that lacks something. */
async function saidOn({ without = [], empty = [] }: Odd, dir: string, odd: object) {
  const scratch = await mkdtemp(join(dir, "odd-"));
  const folders = without.length === 0 ? [] : [...new Set(PROGRAMS.map((p) => realpathSync(p)))];
  const script = [
    "set -e",
    `mount -t tmpfs none ${scratch}`,
    ...folders.map((folder, i) => {
      const [upper, work] = [`${scratch}/${i}`, `${scratch}/${i}-work`];
      const layers = `lowerdir=${folder},upperdir=${upper},workdir=${work}`;
      return `mkdir ${upper} ${work}; mount -t overlay -o ${layers} none ${folder}`;
    }),
    ...folders.map((folder) => `cd ${folder}; rm -f ${without.join(" ")}`),
    ...empty.map((path) => `mount -t tmpfs none ${path}`),
    `exec ${process.execPath} ${PROGRAM}`,
  ].join("\n");
  const child = Bun.spawn(["unshare", "--mount", "sh", "-c", script], {
    env: { ...process.env, ODD: JSON.stringify(odd) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(await new Response(child.stdout).text()) as unknown;
}

function anOdd(dir: string, image: string, limits = {}) {
  const plain = aTask(image, {}, { networkMode: "bridge" });
  return {
    nodeId: newId<"node">(systemRandom) satisfies NodeId,
    runDir: join(dir, "run-odd"),
    dataDir: join(dir, "data-odd"),
    network: { name: "orchdt15", subnet: "10.213.15.0/24", gateway: "10.213.15.1" },
    address: "10.213.15.7",
    assignment: { ...plain, resources: { ...plain.resources, limits } },
  };
}

describe("containerd on a machine that lacks something", () => {
  if (!hasContainerd("containerd on a machine that lacks something")) return;
  let lab: ContainerdLab;
  beforeAll(async () => {
    lab = await makeContainerdLab("orchdt16", "10.213.16");
  }, TIMEOUT_MS);
  afterAll(async () => lab.close(), TIMEOUT_MS);

  const say = (machine: Odd, limits = {}, change: object = { socket: lab.socketPath }) =>
    saidOn(machine, lab.dir, {
      driver: "containerd",
      ...anOdd(lab.dir, lab.image, limits),
      ...change,
    });

  test("nothing is missing where nothing is missing", async () => {
    expect(await say({}, MEMORY)).toBeNull();
  });

  test("each program that is missing is told with its package", async () => {
    const missing = (message: string) => ({ code: "runtime", message });
    expect(await say({ without: ["runc"] })).toEqual(
      missing("containerd finds no runc on this machine (Debian: apt install runc)"),
    );
    expect(await say({ without: ["containerd-shim-runc-v2"] })).toEqual(
      missing(
        "containerd finds no containerd-shim-runc-v2 on this machine " +
          "(Debian: apt install containerd)",
      ),
    );
    expect(await say({ without: ["ip"] })).toEqual(
      missing("ip is missing (Debian: apt install iproute2)"),
    );
    expect(await say({ without: ["nsenter"] })).toEqual(
      missing("nsenter is missing (Debian: apt install util-linux)"),
    );
    const nobody = { systemSocket: join(lab.dir, "nobody.sock") };
    expect(await say({ without: ["containerd"] }, {}, nobody)).toEqual(
      missing("containerd is not on this machine (Debian: apt install containerd)"),
    );
  });

  test("a kernel that counts no memory is told with the line to change", async () => {
    expect(await say({ empty: [CGROUPS] }, MEMORY)).toEqual({
      code: "invalid",
      message: expect.stringContaining(CMDLINE),
    });
  });
});

describe("processes on a machine that lacks something", () => {
  if (!hasProcesses("processes on a machine that lacks something")) return;
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "orchd-odd-"));
    await mkdir(join(dir, "run-odd"));
  });
  afterAll(async () => rm(dir, { recursive: true }));

  const say = (machine: Odd, limits = {}) =>
    saidOn(machine, dir, { driver: "process", ...anOdd(dir, "process", limits) });

  test("nothing is missing where nothing is missing, and without cgroups either", async () => {
    expect(await say({}, MEMORY)).toBeNull();
    expect(await say({ empty: [CGROUPS] })).toBeNull();
  });

  test("each program that is missing is told with its package", async () => {
    const missing = (name: string, debian: string) => ({
      code: "runtime",
      message:
        `processes are started by ${name}, which is missing ` + `(Debian: apt install ${debian})`,
    });
    expect(await say({ without: ["setpriv"] })).toEqual(missing("setpriv", "util-linux"));
    expect(await say({ without: ["ip"] })).toEqual(missing("ip", "iproute2"));
  });

  test("a kernel that counts no memory is told with the line to change", async () => {
    expect(await say({ empty: [CGROUPS] }, MEMORY)).toEqual({
      code: "invalid",
      message: expect.stringContaining(CMDLINE),
    });
  });
});
