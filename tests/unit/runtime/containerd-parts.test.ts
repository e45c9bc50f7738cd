import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import { accountOf } from "../../../src/runtime/containerd/accounts.ts";
import { capabilitiesOf, parseBoundingSet } from "../../../src/runtime/containerd/capabilities.ts";
import { classifyFailure } from "../../../src/runtime/containerd/errors.ts";
import { hostsOf, resolvConfOf } from "../../../src/runtime/containerd/etc-files.ts";
import { imageConfigSchema } from "../../../src/runtime/containerd/image-documents.ts";
import { digestIn, keptNameOf, repositoryOf } from "../../../src/runtime/containerd/image-names.ts";
import { recordsOf } from "../../../src/runtime/containerd/log-keeper.ts";
import { mountsOf, propagationOf } from "../../../src/runtime/containerd/oci-mounts.ts";
import { securityOf } from "../../../src/runtime/containerd/oci-security.ts";
import { ociSpecOf, type OciInput } from "../../../src/runtime/containerd/oci-spec.ts";
import { defaultSeccomp } from "../../../src/runtime/containerd/seccomp.ts";
import { chainIdOf } from "../../../src/runtime/containerd/unpack.ts";
import { LogAssembler } from "../../../src/runtime/podman/k8s-log.ts";
import type { ContainerSpec } from "../../../src/model/container.ts";
import { aContainer, anAssignment } from "../../builders.ts";

const ALL = parseBoundingSet("CapBnd:\t000001ffffffffff\n");

describe("who a container's process is", () => {
  const files = {
    passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n",
    group: "root:x:0:\nwww:x:34:\naudio:x:29:web,other\nlogs:x:4:web\n",
  };
  const cases: [string, string[], ReturnType<typeof accountOf>][] = [
    ["", [], { uid: 0, gid: 0, additionalGids: [], home: "/root" }],
    ["web", [], { uid: 33, gid: 34, additionalGids: [29, 4], home: "/srv" }],
    ["33", ["7"], { uid: 33, gid: 34, additionalGids: [29, 4, 7], home: "/srv" }],
    ["web:audio", [], { uid: 33, gid: 29, additionalGids: [], home: "/srv" }],
    ["1000", [], { uid: 1000, gid: 0, additionalGids: [], home: "/" }],
    ["1000:2000", ["logs"], { uid: 1000, gid: 2000, additionalGids: [4], home: "/" }],
  ];
  for (const [user, groups, account] of cases) {
    test(`"${user}" with ${groups.length} more groups`, () => {
      expect(accountOf(user, groups, files)).toEqual(account);
    });
  }

  test("a name that the image does not know is told", () => {
    expect(() => accountOf("nobody", [], files)).toThrow('user "nobody" does not exist');
    expect(() => accountOf("0:staff", [], files)).toThrow('group "staff" does not exist');
  });
});

describe("what a container may do", () => {
  const capabilities = (change: Partial<ContainerSpec>) =>
    [...capabilitiesOf(aContainer(change), ALL)].toSorted();

  test("capabilities are added to the usual ones and taken from them", () => {
    expect(capabilities({})).toHaveLength(11);
    expect(capabilities({ capDrop: ["ALL"] })).toEqual([]);
    expect(capabilities({ capDrop: ["all"], capAdd: ["CAP_NET_RAW", "sys_time"] })).toEqual([
      "CAP_NET_RAW",
      "CAP_SYS_TIME",
    ]);
    expect(capabilities({ capAdd: ["ALL"], capDrop: ["MKNOD"] })).toHaveLength(40);
    expect(capabilities({ privileged: true })).toHaveLength(41);
    expect(() => capabilities({ capAdd: ["FLY"] })).toThrow('there is no capability "FLY"');
  });

  test("system calls follow the capabilities", () => {
    const rulesFor = (...names: string[]) => {
      const { syscalls } = defaultSeccomp(new Set(names));
      const rules = syscalls as { names: string[]; action: string }[];
      return rules.filter((rule) => rule.names.includes("bpf")).map(({ action }) => action);
    };
    expect(rulesFor()).toEqual(["SCMP_ACT_ERRNO"]);
    expect(rulesFor("CAP_SYS_ADMIN")).toEqual(["SCMP_ACT_ALLOW"]);
  });

  test("security options show and hide paths, and switch the filter off", () => {
    const of = (...securityOptions: string[]) => securityOf(aContainer({ securityOptions }), ALL);
    expect(of().seccomp).toMatchObject({ defaultAction: "SCMP_ACT_ERRNO" });
    expect(of("seccomp=unconfined").seccomp).toBeUndefined();
    expect(of("no-new-privileges").noNewPrivileges).toBe(true);
    expect(of("no-new-privileges:false").noNewPrivileges).toBe(false);
    expect(of("systempaths=unconfined")).toMatchObject({ maskedPaths: [], readonlyPaths: [] });
    expect(of("unmask=/proc/kcore").maskedPaths).not.toContain("/proc/kcore");
    expect(of("mask=/proc/cpuinfo").maskedPaths).toContain("/proc/cpuinfo");
    expect(securityOf(aContainer({ privileged: true }), ALL)).toMatchObject({ maskedPaths: [] });
    expect(() => of("seccomp=/no/such/profile.json")).toThrow("/no/such/profile.json");
  });
});

describe("what the OCI runtime is told", () => {
  const config = (value: object) => imageConfigSchema.parse({ rootfs: {}, config: value });
  const specOf = (change: Partial<ContainerSpec>, more: Partial<OciInput> = {}) => {
    const container = aContainer(change);
    return ociSpecOf({
      assignment: anAssignment("", { container }),
      image: config({ Entrypoint: ["/entry"], Cmd: ["usual"], Env: ["A=1", "B=2"] }),
      account: { uid: 0, gid: 0, additionalGids: [], home: "/root" },
      security: securityOf(container, ALL),
      mounts: [],
      devices: [],
      limits: new Map(),
      kernel: { countsSwap: true, unifiedCgroups: true },
      cgroupsPath: "/orchd/t",
      ...more,
    }) as { process: { args: string[]; env: string[]; cwd: string }; linux: { resources: object } };
  };

  test("another entrypoint hides the image's command, another command only that", () => {
    expect(specOf({}).process.args).toEqual(["/entry", "usual"]);
    expect(specOf({ command: ["mine"] }).process.args).toEqual(["/entry", "mine"]);
    expect(specOf({ entrypoint: ["/other"] }).process.args).toEqual(["/other"]);
    expect(specOf({ entrypoint: [], command: ["x"], init: true }).process.args).toEqual([
      "/dev/init",
      "--",
      "x",
    ]);
    const image = config({});
    expect(() => specOf({}, { image })).toThrow("the image has no command of its own");
  });

  test("the service's variables stand in place of the image's", () => {
    const { env } = specOf({ environment: { B: "3" } }).process;
    expect(env).toContain("A=1");
    expect(env).toContain("B=3");
    expect(env).not.toContain("B=2");
    expect(env).toContain("HOME=/root");
  });

  test("a memory limit is one of as much swap again, and processes have one anyway", () => {
    const limits = { memoryBytes: 1000, cpuMillis: 1500 };
    const reservations = { cpuMillis: 0, memoryBytes: 0 };
    const assignment = anAssignment("", { resources: { limits, reservations } });
    expect(specOf({}, { assignment }).linux.resources).toMatchObject({
      memory: { limit: 1000, swap: 2000 },
      cpu: { period: 100_000, quota: 150_000 },
      pids: { limit: 2048 },
    });
  });

  test("user namespaces are refused, since there are none", () => {
    expect(() => specOf({ usernsMode: "private" })).toThrow(OrchdError);
  });

  test("a mount of the service's hides one of ours, and outer ones come first", () => {
    const bind = (target: string) => ({
      type: "bind" as const,
      source: "/x",
      target,
      readOnly: true,
      createSource: false,
    });
    const mounts = mountsOf(aContainer({ mounts: [bind("/a/b"), bind("/dev/shm"), bind("/a")] }), {
      volume: () => {
        throw new Error("there is no volume");
      },
      etc: new Map([["hosts", "/own/hosts"]]),
    });
    const paths = mounts.map(({ destination }) => destination);
    expect(paths.filter((path) => path === "/dev/shm")).toHaveLength(1);
    expect(paths.indexOf("/a")).toBeLessThan(paths.indexOf("/a/b"));
    expect(paths).toContain("/etc/hosts");
    expect(propagationOf(mounts)).toBeUndefined();
  });
});

describe("names in a container", () => {
  const input = (change: Partial<ContainerSpec>) => ({
    spec: aContainer(change),
    hostname: "web",
    gateway: "10.0.0.1",
    address: "10.0.0.7",
  });

  test("hosts have what was asked for first, then the machine's, then its own", () => {
    const extraHosts = [{ host: "node", address: "host-gateway" }];
    expect(hostsOf(input({ extraHosts }), "127.0.0.1 localhost\n")).toBe(
      "10.0.0.1\tnode\n127.0.0.1 localhost\n10.0.0.7\tweb\n",
    );
  });

  test("a machine's own loopback is no name server in another network", () => {
    const machine = "nameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch lan\n";
    expect(resolvConfOf(input({}), machine)).toBe("search lan\nnameserver 9.9.9.9\n");
    const host = input({ networkMode: "host" });
    expect(resolvConfOf(host, machine)).toContain("127.0.0.53");
    const resolver = { server: "10.0.0.1", search: ["orchd.internal"] };
    expect(resolvConfOf({ ...input({}), resolver }, machine)).toBe(
      "search orchd.internal\nnameserver 10.0.0.1\noptions ndots:0\n",
    );
  });
});

describe("images by name", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const cases: [string, string][] = [
    ["nginx", "docker.io/library/nginx:latest"],
    ["team/app:2", "docker.io/team/app:2"],
    ["localhost/web", "localhost/web:latest"],
    ["host:5000/web", "host:5000/web:latest"],
    [`web:1@${digest}`, `docker.io/library/web@${digest}`],
  ];
  for (const [written, kept] of cases) {
    test(`${written.slice(0, 30)} is kept as it is meant`, () => {
      expect(keptNameOf(written)).toBe(kept);
    });
  }

  test("repository and digest are told apart", () => {
    expect(repositoryOf(`host:5000/web:1@${digest}`)).toBe("host:5000/web");
    expect(digestIn(`web@${digest}`)).toBe(digest);
    expect(digestIn("web:1")).toBeUndefined();
  });

  test("layers are known by all that are below them", () => {
    expect(chainIdOf([])).toBe("");
    expect(chainIdOf([digest])).toBe(digest);
    const both = new Bun.CryptoHasher("sha256").update(`${digest} ${digest}`).digest("hex");
    expect(chainIdOf([digest, digest])).toBe(`sha256:${both}`);
  });
});

test("output in any pieces becomes the lines that were printed", () => {
  const lines = new LogAssembler();
  const at = "2026-01-01T00:00:00.000Z";
  const texts: string[] = [];
  for (const piece of ["one\ntw", "o\n", "\n", `${"x".repeat(20_000)}\nlast`]) {
    const records = recordsOf(Buffer.from(piece), at, "stdout");
    texts.push(...lines.push(records).map(({ text }) => text));
  }
  texts.push(...lines.flush().map(({ text }) => text));
  expect(texts.map((text) => (text.length > 100 ? text.length : text))).toEqual([
    "one",
    "two",
    "",
    16_384,
    3616,
    "last",
  ]);
});

test("failures of containerd have codes and sentences of ours", () => {
  const of = (code: number, details: string) => classifyFailure({ code, details }, "/c.sock");
  expect(of(14, "connect ENOENT")).toMatchObject({ code: "unreachable", retryable: true });
  expect(of(4, "")).toMatchObject({ code: "unreachable" });
  expect(of(5, "image x: not found").code).toBe("notFound");
  expect(of(6, "already exists").code).toBe("conflict");
  expect(of(12, "unknown service").message).toContain("/c.sock is not containerd");
  expect(of(2, "write /x: no space left on device").code).toBe("noSpace");
  const chain =
    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start " +
    'container process: exec: "nope": executable file not found in $PATH: unknown';
  expect(of(2, chain).message).toBe('the command "nope" was not found in the image');
});
