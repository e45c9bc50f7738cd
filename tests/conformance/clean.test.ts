import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { cleanContainerd, cleanOwnContainerd } from "../../scripts/clean/containerd.ts";
import { removeLabelled } from "../../scripts/clean/labelled.ts";
import { cleanProcesses } from "../../scripts/clean/processes.ts";
import type { VolumeMount } from "../../src/model/container.ts";
import { nodesWithCgroups } from "../../src/runtime/process/cgroups.ts";
import { ContainerdRuntime } from "../../src/runtime/containerd/containerd-runtime.ts";
import { hasContainerd, makeContainerdLab, type ContainerdLab } from "./runtime-containerd-lab.ts";
import { hasDocker, makeDockerLab, type DockerLab } from "./runtime-docker-lab.ts";
import { hasProcesses, makeProcessLab, type ProcessLab } from "./runtime-process-lab.ts";
import type { RuntimeLab } from "./runtime.ts";
import { takeArchive } from "./runtime-take.ts";
import { aTask } from "./runtime-task.ts";
import { until } from "./runtime-until.ts";

const TIMEOUT_MS = 120_000;
const VOLUME: VolumeMount = {
  type: "volume",
  volume: "orchd-clean",
  target: "/data",
  readOnly: false,
  noCopy: false,
  external: false,
  driverOptions: {},
  labels: {},
};

/** A task that runs, and one that was only made. */
async function leaveBehind({ runtime, image }: RuntimeLab): Promise<void> {
  const [running, made] = [aTask(image), aTask(image)];
  for (const assignment of [running, made]) await runtime.create({ assignment });
  await runtime.start(running.taskId);
}

/** The programs that have this on their command line. */
function processesWith(text: string): string[] {
  return readdirSync("/proc").flatMap((entry) => {
    const line = commandLineOf(entry);
    return line.includes(text) ? [basename(line.split("\0")[0] ?? "")] : [];
  });
}

function commandLineOf(entry: string): string {
  try {
    return readFileSync(`/proc/${entry}/cmdline`, "utf8");
  } catch {
    // No process, or one that has ended meanwhile.
    return "";
  }
}

describe("what containerd has of orchd goes, and nothing of others", () => {
  if (!hasContainerd("npm run clean with containerd")) return;
  let lab: ContainerdLab;
  beforeAll(async () => {
    lab = await makeContainerdLab("orchdt17", "10.213.17");
  }, TIMEOUT_MS);
  afterAll(async () => lab.close(), TIMEOUT_MS);

  test(
    "its namespace with all that is in it",
    async () => {
      const ctr = (...words: string[]) => Bun.$`ctr -a ${lab.socketPath} ${words}`.quiet().text();
      await ctr("-n", "others", "image", "import", lab.archivePath);
      await ctr("-n", "others", "container", "create", lab.image, "theirs", "/bin/true");
      await leaveBehind(lab);
      await cleanContainerd(lab.socketPath);
      expect((await ctr("namespace", "ls", "--quiet")).trim().split("\n")).toEqual(["others"]);
      expect(await lab.runtime.list()).toEqual([]);
      expect((await ctr("-n", "others", "container", "ls", "--quiet")).trim()).toBe("theirs");
      await cleanContainerd(lab.socketPath);
      await cleanContainerd(join(lab.dir, "nobody.sock"));
    },
    TIMEOUT_MS,
  );
});

describe("what a containerd of orchd's own has goes", () => {
  const SUITE = "npm run clean with a containerd of orchd's own";
  if (!hasContainerd(SUITE)) return;
  let lab: ContainerdLab;
  beforeAll(async () => {
    lab = await makeContainerdLab("orchdt20", "10.213.20");
  }, TIMEOUT_MS);
  afterAll(async () => lab.close(), TIMEOUT_MS);

  test(
    "although it has ended, and its containers have not",
    async () => {
      const runDir = join(lab.dir, "run-own");
      const own = { ...lab.options(), runDir, dataDir: join(lab.dir, "data-own") };
      const { socket: _, ...options } = { ...own, systemSocket: join(lab.dir, "nobody.sock") };
      const runtime = await ContainerdRuntime.open(options);
      await takeArchive(runtime, lab.archivePath);
      await leaveBehind({ ...lab, runtime });
      await runtime.close();
      expect(processesWith(`${runDir}/`)).toEqual(["containerd-shim-runc-v2"]);
      await cleanOwnContainerd(runDir);
      expect(processesWith(`${runDir}/`)).toEqual([]);
      await cleanOwnContainerd(join(lab.dir, "nobody"));
    },
    TIMEOUT_MS,
  );
});

describe("what Docker has of orchd goes, and nothing of others", () => {
  if (!hasDocker("npm run clean with Docker")) return;
  let lab: DockerLab;
  beforeAll(async () => {
    lab = await makeDockerLab("orchdt18", "10.213.18");
  }, TIMEOUT_MS);
  afterAll(async () => lab.close(), TIMEOUT_MS);

  test(
    "containers, volumes and networks by their label",
    async () => {
      const { socket = "" } = lab.options();
      const cli = ["docker", "--host", `unix://${socket}`];
      const docker = async (...words: string[]) =>
        (await Bun.$`${cli} ${words}`.quiet().text()).trim();
      const theirs = await docker("create", lab.image, "/bin/true");
      await docker("volume", "create", "theirs");
      await lab.runtime.ensureNetwork(lab.network);
      await lab.runtime.ensureVolume(VOLUME);
      await leaveBehind(lab);
      await removeLabelled(cli);
      expect(await docker("ps", "--all", "--quiet", "--no-trunc")).toBe(theirs);
      expect(await docker("volume", "ls", "--quiet")).toBe("theirs");
      expect(await docker("network", "ls", "--format", "{{.Name}}")).not.toContain("orchdt18");
    },
    TIMEOUT_MS,
  );
});

describe("what processes a node has left go", () => {
  if (!hasProcesses("npm run clean with processes")) return;
  let lab: ProcessLab;
  beforeAll(async () => {
    lab = await makeProcessLab("orchdt19", "10.213.19");
  });
  afterAll(async () => lab.close());

  test("with their cgroups", async () => {
    await leaveBehind(lab);
    expect(nodesWithCgroups()).toContain(lab.nodeId);
    await cleanProcesses([lab.nodeId]);
    expect(nodesWithCgroups()).not.toContain(lab.nodeId);
    const states = async () =>
      (await lab.runtime.list())
        .map(({ state }) => state)
        .toSorted()
        .join(" ");
    await until("the end of the one that ran", async () => (await states()) === "created exited");
    expect(existsSync(`/sys/fs/cgroup/orchd-process-${lab.nodeId}`)).toBe(false);
  });
});
