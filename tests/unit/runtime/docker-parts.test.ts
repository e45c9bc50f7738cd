import { expect, test } from "bun:test";
import type { NodeId, TaskId } from "../../../src/model/ids.ts";
import { changeBodyOf, createBodyOf } from "../../../src/runtime/docker/create-body.ts";
import { namesIn } from "../../../src/runtime/docker/docker-images.ts";
import { parseEvent } from "../../../src/runtime/podman/podman-events.ts";
import { aContainer, anAssignment } from "../../builders.ts";

const MIB = 1024 * 1024;

function bodyOf(change: Parameters<typeof aContainer>[0], address?: string, more: object = {}) {
  return createBodyOf({
    assignment: anAssignment("web", { container: aContainer(change) }),
    nodeId: "n1" as NodeId,
    network: { name: "orchd0", subnet: "10.210.1.0/24", gateway: "10.210.1.1", ...more },
    limits: new Map([["NOFILE", 4096]]),
    hostname: "web-1",
    etc: new Map([["hosts", "/var/lib/orchd/docker/etc/t1/hosts"]]),
    ...(address === undefined ? {} : { address }),
  });
}

test("on the node's bridge a container has the address that it is to have, and its files", () => {
  const body = bodyOf({ networkMode: "bridge" }, "10.210.1.7");
  expect(body).toMatchObject({
    MacAddress: "0a:6f:0a:d2:01:07",
    Hostname: "web-1",
    NetworkingConfig: {
      EndpointsConfig: { orchd0: { IPAMConfig: { IPv4Address: "10.210.1.7" } } },
    },
    HostConfig: {
      NetworkMode: "orchd0",
      Mounts: [
        { Type: "bind", Source: "/var/lib/orchd/docker/etc/t1/hosts", Target: "/etc/hosts" },
      ],
    },
  });
});

test("and an IPv6 address where the network has such", () => {
  const body = bodyOf({}, "10.210.1.7", { range6: "fd00::/96" });
  expect(body).toMatchObject({
    NetworkingConfig: {
      EndpointsConfig: {
        orchd0: { IPAMConfig: { IPv4Address: "10.210.1.7", IPv6Address: "fd00::ad2:107" } },
      },
    },
  });
});
test("what a task mounts on a file of /etc stays the task's own", () => {
  const mount = { type: "bind" as const, readOnly: true, createSource: false };
  const mounts = [{ ...mount, source: "/srv/hosts", target: "/etc/hosts" }];
  expect(bodyOf({ mounts })).toMatchObject({ HostConfig: { Mounts: [{ Source: "/srv/hosts" }] } });
});

test("limits above those of Docker's own process are lowered, and none is -1", () => {
  const ulimits = [
    { name: "nofile", soft: -1, hard: -1 },
    { name: "core", soft: -1, hard: -1 },
  ];
  const { HostConfig } = bodyOf({ ulimits }) as { HostConfig: { Ulimits: object[] } };
  expect(HostConfig.Ulimits).toEqual([
    { Name: "nofile", Soft: 4096, Hard: 4096 },
    { Name: "nproc", Soft: 1_048_576, Hard: 1_048_576 },
    { Name: "core", Soft: -1, Hard: -1 },
  ]);
});

test("rights that only Docker would give are taken away, unless they are asked for", () => {
  expect(bodyOf({ capAdd: ["NET_RAW"] })).toMatchObject({
    HostConfig: { CapAdd: ["NET_RAW"], CapDrop: ["AUDIT_WRITE", "MKNOD"] },
  });
  expect(bodyOf({ privileged: true })).toMatchObject({ HostConfig: { CapDrop: [] } });
});

test("security options are as Docker's interface takes them, and others are refused", () => {
  const securityOptions = ["no-new-privileges:true", "seccomp=unconfined"];
  expect(bodyOf({ securityOptions })).toMatchObject({
    HostConfig: { SecurityOpt: ["no-new-privileges=true", "seccomp=unconfined"] },
  });
  expect(bodyOf({ securityOptions: ["systempaths=unconfined"] })).toMatchObject({
    HostConfig: { SecurityOpt: [], MaskedPaths: [], ReadonlyPaths: [] },
  });
  expect(() => bodyOf({ securityOptions: ["mask=/proc/x"] })).toThrow("is unknown to Docker");
  expect(() => bodyOf({ securityOptions: ["seccomp=/no/such.json"] })).toThrow(
    "the seccomp profile /no/such.json does not exist on the node",
  );
});

test("a limit that is taken away is said as well, for what is left out stays", () => {
  expect(changeBodyOf({ memoryBytes: 64 * MIB, cpuMillis: 500 }, true)).toEqual({
    Memory: 64 * MIB,
    MemorySwap: 128 * MIB,
    CpuPeriod: 100_000,
    CpuQuota: 50_000,
    CpuShares: 1024,
    PidsLimit: 2048,
  });
  const { Memory, MemorySwap, CpuQuota } = changeBodyOf({}, true);
  expect({ Memory, MemorySwap, CpuQuota }).toEqual({
    Memory: 2 ** 62,
    MemorySwap: 2 ** 62,
    CpuQuota: -1,
  });
  expect(changeBodyOf({}, false)).not.toHaveProperty("MemorySwap");
});

test("names of images are in full, and what has none has none", () => {
  expect(namesIn(["web:1", "<none>:<none>", "127.0.0.1:6775/web:1"])).toEqual([
    "docker.io/library/web:1",
    "127.0.0.1:6775/web:1",
  ]);
  expect(namesIn(null)).toEqual([]);
});

test("Docker's words for what a container does are known", () => {
  const line = (Action: string) =>
    JSON.stringify({ Action, Actor: { ID: "c1", Attributes: { "orchd.task": "abc23456defg" } } });
  const taskId = "abc23456defg" as TaskId;
  expect(parseEvent(line("die"))).toEqual({ type: "exited", taskId, containerId: "c1" });
  expect(parseEvent(line("destroy"))).toEqual({ type: "removed", taskId, containerId: "c1" });
  expect(parseEvent(line("exec_die"))).toBeUndefined();
});
