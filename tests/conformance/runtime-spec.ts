import { afterAll, beforeAll, expect } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withDevices } from "../../src/agent/give-devices.ts";
import { address6Of } from "../../src/core/network/address6.ts";
import { bytesOfHost } from "../../src/lib/ip.ts";
import type { Assignment } from "../../src/model/assignment.ts";
import type { ContainerSpec } from "../../src/model/container.ts";
import type { RuntimeLab } from "./runtime.ts";
import { type Cannot, type Case, casesOf } from "./runtime-cases.ts";
import { kernelCases } from "./runtime-spec-kernel.ts";
import { aTask } from "./runtime-task.ts";
import { failureOf } from "./runtime-until.ts";

const TIMEOUT_MS = 60_000;
const MIB = 1024 * 1024;
/** Prints the limits of memory, processor and processes, with either kind of cgroups. */
const LIMITS = [
  "exec 2>&-; cd /sys/fs/cgroup",
  "cat memory/memory.limit_in_bytes || cat memory.max",
  "cat cpu/cpu.cfs_quota_us || cut -d' ' -f1 cpu.max",
  "cat pids/pids.max || cat pids.max",
].join("; ");

/** Of the node's network in every suite: a random one (RFC 4193). */
const RANGE6 = "fd5c:1e90:7a3b::/96";

/** A lab with a directory for what its containers mount. */
export interface SpecLab extends RuntimeLab {
  dir: string;
  /** A directory that need not be there; absent means one of the image. */
  workingDir?: string;
  /** Where tests mount things; absent means the root. */
  place?: string;
}

export interface SpecTools {
  /** How the driver calls itself. */
  name: string;
  lab: () => SpecLab;
  /** What a shell script prints inside a container of that kind. */
  inside: (
    script: string,
    change: Partial<ContainerSpec>,
    limits?: Assignment["resources"]["limits"],
    address?: string,
  ) => Promise<string[]>;
  test: Case;
}

/** Every field of a container's spec, as the container itself sees it. */
export function specConformance(
  name: string,
  makeLab: () => Promise<SpecLab>,
  cannot: Cannot = {},
): void {
  let current: SpecLab | undefined;
  const lab = () => {
    if (current === undefined) throw new Error("the runtime to test could not be set up");
    return current;
  };

  beforeAll(async () => {
    current = await makeLab();
    await current.runtime.ensureNetwork({ ...current.network, range6: RANGE6 });
  }, TIMEOUT_MS);

  afterAll(async () => {
    await current?.close();
  }, TIMEOUT_MS);

  const inside: SpecTools["inside"] = (...asked) => printedIn(lab(), ...asked);
  specCases({ name, lab, inside, test: casesOf(name, cannot) });
}

/** Registers every case. */
export function specCases(tools: SpecTools): void {
  processCases(tools);
  limitCases(tools);
  kernelCases(tools);
  mountCases(tools);
  securityCases(tools);
  networkCases(tools);
}

async function printedIn(
  { runtime, image }: SpecLab,
  script: string,
  change: Partial<ContainerSpec>,
  limits: Assignment["resources"]["limits"] = {},
  address?: string,
): Promise<string[]> {
  const plain = aTask(image, {}, { command: ["/bin/sh", "-c", script], ...change });
  const assignment = { ...plain, resources: { ...plain.resources, limits } };
  try {
    await runtime.create({ assignment, ...(address === undefined ? {} : { address }) });
    await runtime.start(assignment.taskId);
    const texts: string[] = [];
    const { signal } = new AbortController();
    for await (const line of runtime.logs(assignment.taskId, { follow: true }, signal)) {
      texts.push(line.text);
    }
    return texts;
  } finally {
    await runtime.remove(assignment.taskId);
  }
}

function processCases({ lab, inside, test }: SpecTools): void {
  test("environment, user, directory, host and domain name are as given", async () => {
    const script =
      "echo $COLOUR; id -u; id -g; id -G; pwd; hostname; cat /proc/sys/kernel/domainname";
    const lines = await inside(script, {
      environment: { PATH: "/bin", COLOUR: "deep blue" },
      user: "1000:1001",
      groupAdd: ["2000"],
      workingDir: lab().workingDir ?? "/srv/here",
      hostname: "web-1",
      domainName: "example.test",
    });
    expect(lines).toEqual([
      "deep blue",
      "1000",
      "1001",
      "1001 2000",
      lab().workingDir ?? "/srv/here",
      "web-1",
      "example.test",
    ]);
  });

  test("entrypoint and command follow each other", async () => {
    const change = { entrypoint: ["/bin/echo", "a"], command: ["b", "c d"] };
    expect(await inside("", change)).toEqual(["a b c d"]);
  });

  test("a terminal is one, and its lines end without a carriage return", async () => {
    expect(await inside("test -t 1 && echo terminal", { tty: true })).toEqual(["terminal"]);
  });

  test("a stop signal of its own reaches the process", async () => {
    const script = "trap 'echo quit; exit 9' QUIT; echo up; while :; do sleep 0.05; done";
    const assignment = aTask(
      lab().image,
      {},
      { command: ["/bin/sh", "-c", script], stopSignal: "SIGQUIT" },
    );
    await lab().runtime.create({ assignment });
    await lab().runtime.start(assignment.taskId);
    const { signal } = new AbortController();
    const texts: string[] = [];
    for await (const line of lab().runtime.logs(assignment.taskId, { follow: true }, signal)) {
      texts.push(line.text);
      if (line.text === "up") await lab().runtime.stop(assignment.taskId, 5000);
    }
    expect(texts).toEqual(["up", "quit"]);
    expect(await lab().runtime.inspect(assignment.taskId)).toMatchObject({ exitCode: 9 });
    await lab().runtime.remove(assignment.taskId);
  });
}

function limitCases({ lab, inside, test }: SpecTools): void {
  test("limits of memory, processor, processes and files hold", async () => {
    const script = [
      "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max",
      "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max",
      "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max",
      "ulimit -n; ulimit -Hn; ulimit -c",
    ].join(" 2>/dev/null; ");
    const lines = await inside(
      script,
      {
        ulimits: [
          { name: "nofile", soft: 100, hard: 200 },
          { name: "core", soft: 0, hard: 0 },
        ],
      },
      { memoryBytes: 64 * 1024 * 1024, cpuMillis: 250, pids: 50 },
    );
    expect(lines.map((line) => line.split(" ")[0])).toEqual([
      "67108864",
      "25000",
      "50",
      "100",
      "200",
      "0",
    ]);
  });

  test("limits change under a program that runs, and can be taken away again", async () => {
    const { runtime, image } = lab();
    const assignment = aTask(image, { prints: ["up"] });
    const { taskId } = assignment;
    const held = { ...assignment.resources, limits: { memoryBytes: 64 * MIB, cpuMillis: 250 } };
    await runtime.create({ assignment: { ...assignment, resources: held } });
    try {
      await runtime.start(taskId);
      const limits = async () => {
        const options = { signal: AbortSignal.timeout(10_000), outputBytesMax: 4096 };
        const { output } = await runtime.run(taskId, ["/bin/sh", "-c", LIMITS], options);
        return output.trim().split("\n");
      };
      const { startedAt } = (await runtime.inspect(taskId)) ?? {};
      await runtime.limit(taskId, { memoryBytes: 96 * MIB, cpuMillis: 500, pids: 70 });
      expect(await limits()).toEqual([`${96 * MIB}`, "50000", "70"]);
      await runtime.limit(taskId, { memoryBytes: 32 * MIB });
      expect(await limits()).toEqual([`${32 * MIB}`, expect.stringMatching(/^(-1|max)$/), "2048"]);
      await runtime.limit(taskId, {});
      const [memory = ""] = await limits();
      expect(memory === "max" || Number(memory) > 2 ** 50).toBe(true);
      expect(await runtime.inspect(taskId)).toMatchObject({ state: "running", startedAt });
    } finally {
      await runtime.remove(taskId);
    }
    expect((await failureOf(runtime.limit(taskId, {}))).code).toBe("notFound");
  });

  test("a limit that this machine can't give is lowered, and the container starts", async () => {
    const ulimits = [
      { name: "nofile", soft: -1, hard: -1 },
      { name: "nproc", soft: 9_999_999, hard: -1 },
    ];
    const [files = ""] = await inside("ulimit -n", { ulimits });
    expect(Number(files)).toBeGreaterThan(1000);
  });
}

function mountCases({ lab, inside, test }: SpecTools): void {
  test("volumes, bind mounts and tmpfs are where they belong, with their rights", async () => {
    const source = join(lab().dir, "made", "for", "it");
    const at = lab().place ?? "";
    const script = [
      `echo kept > ${at}/data/file && cat ${at}/data/file`,
      `(echo x > ${at}/bound/file) 2>/dev/null || echo read-only`,
      `mount | grep -o '^tmpfs on ${at}/scratch.*size=1024k'`,
      `stat -c %a ${at}/scratch`,
      `ls -d ${at}/anonymous`,
    ].join("; ");
    const volume = { type: "volume" as const, readOnly: false, noCopy: false, external: false };
    const mounts: ContainerSpec["mounts"] = [
      { ...volume, volume: "kept", target: `${at}/data`, driverOptions: {}, labels: {} },
      { ...volume, volume: "", target: `${at}/anonymous`, driverOptions: {}, labels: {} },
      { type: "bind", source, target: `${at}/bound`, readOnly: true, createSource: true },
      { type: "tmpfs", target: `${at}/scratch`, sizeBytes: 1024 * 1024, mode: 0o1770 },
    ];
    const [kept] = mounts;
    if (kept?.type === "volume") await lab().runtime.ensureVolume(kept);
    const lines = await inside(script, { mounts });
    expect(lines).toEqual([
      "kept",
      "read-only",
      `tmpfs on ${at}/scratch type tmpfs (rw,nosuid,nodev,relatime,size=1024k`,
      "1770",
      `${at}/anonymous`,
    ]);
    expect(existsSync(source)).toBe(true);
    expect((await lab().runtime.volumes()).map((volume) => volume.name)).toEqual(["kept"]);
    const again = await inside(`cat ${at}/data/file`, { mounts });
    expect(again).toEqual(["kept"]);
    await lab().runtime.removeVolume("kept");
  });

  test("a missing bind mount that nobody may make is one sentence", async () => {
    const mount = { type: "bind" as const, target: "/tmp", readOnly: false, createSource: false };
    const change = { mounts: [{ ...mount, source: "/no/such/path" }] };
    const error = await failureOf(inside("true", change));
    expect(error.message).toBe("the mounted path /no/such/path does not exist on the node");
  });
}

function securityCases({ name, lab, inside, test }: SpecTools): void {
  test("capabilities, devices and security options are as given", async () => {
    // A device by a name that lasts, such as those in /dev/serial/by-id, is a link.
    const folder = await mkdtemp(join(tmpdir(), "orchd-link-"));
    await symlink("/dev/null", join(folder, "by-id"));
    const script = [
      "grep -E 'CapEff|NoNewPrivs' /proc/self/status | cut -f2",
      "ls /dev/black-hole",
      "(echo x > /file) 2>/dev/null || echo read-only",
    ].join("; ");
    const lines = await inside(script, {
      capDrop: ["ALL"],
      capAdd: ["NET_ADMIN"],
      securityOptions: ["no-new-privileges:true", "seccomp=unconfined"],
      devices: [{ source: join(folder, "by-id"), target: "/dev/black-hole", permissions: "rw" }],
      readOnly: true,
    });
    await rm(folder, { recursive: true });
    expect(lines).toEqual(["0000000000001000", "1", "/dev/black-hole", "read-only"]);
  });

  test("a device that the task was given is there, also under its lasting name", async () => {
    const alias = "/dev/serial/by-id/usb-zero";
    const zero = { id: "zero", kind: "serial" as const, capabilities: [], path: "/dev/zero" };
    const devices = [{ ...zero, aliases: [alias], exclusive: true }];
    const plain = aTask(lab().image, {}, { networkMode: "none" });
    const given = { ...plain, devices: ["zero"] };
    const { container } = withDevices(given, { devices, deviceNodes: [] });
    const script = `head -c 2 ${alias} | od -An -tx1; ls /dev/zero`;
    expect(await inside(script, { devices: container.devices })).toEqual([" 00 00", "/dev/zero"]);
  });

  test(`what ${name} can't do is one sentence`, async () => {
    const messageOf = async (change: Partial<ContainerSpec>) =>
      (await failureOf(inside("true", change))).message;
    expect(await messageOf({ user: "nobody-here" })).toMatch(
      /^the user "nobody-here" does not exist (?:in the image|on the node)$/,
    );
    expect(await messageOf({ securityOptions: ["nonsense"] })).toBe(
      `the security option "nonsense" is unknown to ${name}`,
    );
    expect(await messageOf({ capAdd: ["NONSENSE"] })).toMatch(/(?:unknown|no) capability/);
    expect(await messageOf({ command: ["/bin"] })).toContain("can't be executed");
    expect(
      await messageOf({
        devices: [{ source: "/dev/nothing", target: "/dev/x", permissions: "r" }],
      }),
    ).toBe("the device /dev/nothing does not exist on the node");
  });
}

function digitsOf(address: string): string {
  return Buffer.from(bytesOfHost(address) ?? []).toString("hex");
}

function networkCases({ lab, inside, test }: SpecTools): void {
  test("address, hosts, name servers and sysctls are as given on the node's network", async () => {
    const { gateway } = lab().network;
    const address = gateway.replace(/\.1$/, ".9");
    const script = [
      "grep -wE 'db|gateway' /etc/hosts | tr '\\t' ' '",
      "grep -E '^(nameserver|search|options)' /etc/resolv.conf",
      "cat /proc/sys/net/core/somaxconn",
      `grep -o '${address}' /proc/net/fib_trie | head -1`,
    ].join("; ");
    const lines = await inside(
      script,
      {
        networkMode: "bridge",
        extraHosts: [
          { host: "db", address: "10.9.9.9" },
          { host: "gateway", address: "host-gateway" },
        ],
        dns: [gateway],
        dnsSearch: ["shop.internal"],
        dnsOptions: ["ndots:2"],
        sysctls: { "net.core.somaxconn": "77" },
      },
      {},
      address,
    );
    expect(lines.toSorted()).toEqual(
      [
        `${gateway} gateway`,
        address,
        "10.9.9.9 db",
        "77",
        `nameserver ${gateway}`,
        "options ndots:2",
        "search shop.internal",
      ].toSorted(),
    );
  });

  test("an IPv6 address comes along where the node's network has such", async () => {
    const { gateway } = lab().network;
    const address = gateway.replace(/\.1$/, ".9");
    const script = [
      "grep -w eth0 /proc/net/if_inet6 | grep ^fd | cut -d' ' -f1,3,5",
      "grep -w eth0 /proc/net/ipv6_route | grep '^0*  *00 ' | cut -d' ' -f5",
    ].join("; ");
    const [own = "", ...ways] = await inside(script, { networkMode: "bridge" }, {}, address);
    const [digits, length, flags] = own.split(" ");
    expect([digits, length]).toEqual([digitsOf(address6Of(RANGE6, address)), "78"]);
    // Nobody is asked whether they have it (IFA_F_TENTATIVE): a program can use it at once.
    expect(Number.parseInt(flags ?? "", 16) & 0x40).toBe(0);
    expect(ways).toContain(digitsOf(address6Of(RANGE6, gateway)));
  });

  test("the node's own network, processes and host name can be shared", async () => {
    const script =
      "readlink /proc/self/ns/net; readlink /proc/self/ns/uts; readlink /proc/self/ns/pid";
    const lines = await inside(script, {
      networkMode: "host",
      utsMode: "host",
      pidMode: "host",
      ipcMode: "host",
    });
    const ours = await Promise.all(
      ["net", "uts", "pid"].map((kind) => Bun.$`readlink /proc/self/ns/${kind}`.text()),
    );
    expect(lines).toEqual(ours.map((line) => line.trim()));
  });
}
