import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { Assignment } from "../../../src/model/assignment.ts";
import type { TaskId } from "../../../src/model/ids.ts";
import type { ContainerSpec } from "../../../src/model/container.ts";
import { aContainer, anAssignment, anId } from "../../builders.ts";
import { createSpecOf } from "../../../src/runtime/podman/create-spec.ts";

const network = { name: "orchd0", subnet: "10.210.1.0/24", gateway: "10.210.1.1" };
const limits = new Map([
  ["NOFILE", 20_000],
  ["NPROC", 4096],
]);

/** The create body of a plain container that was changed. */
function specOf(
  change: Partial<ContainerSpec> = {},
  resources: Assignment["resources"]["limits"] = {},
  address?: string,
  shared?: { task: TaskId; path: string },
): Record<string, unknown> {
  const assignment = anAssignment("t", {
    revision: 3,
    container: aContainer(change),
    resources: { limits: resources, reservations: { cpuMillis: 0, memoryBytes: 0 } },
  });
  return createSpecOf({
    assignment,
    nodeId: anId("n"),
    network,
    limits,
    ...(address === undefined ? {} : { address }),
    ...(shared === undefined ? {} : { shared }),
  });
}

describe("what Podman is asked to create", () => {
  test("a container has an IPv6 address too on a network that has such", () => {
    const assignment = anAssignment("t", { container: aContainer() });
    const inet6 = { ...network, range6: "fd00::/96" };
    const options = { assignment, nodeId: anId<"node">("n"), limits, address: "10.210.1.7" };
    expect(createSpecOf({ ...options, network: inet6 })["Networks"]).toMatchObject({
      orchd0: { static_ips: ["10.210.1.7", "fd00::ad2:107"] },
    });
  });

  test("a plain container has its name, labels and address, and nothing besides", () => {
    expect(specOf({}, {}, "10.210.1.7")).toEqual({
      name: "orchd-shop-web-1-txxxxxxxxxxx",
      image: "localhost/web:1",
      env: {},
      labels: {
        "orchd.node": "nxxxxxxxxxxx",
        "orchd.task": "txxxxxxxxxxx",
        "orchd.stack": "shop",
        "orchd.service": "web",
        "orchd.slot": "1",
        "orchd.revision": "3",
        "orchd.address": "10.210.1.7",
      },
      terminal: false,
      stdin: false,
      stop_timeout: 10,
      restart_policy: "no",
      healthconfig: { Test: ["NONE"] },
      sdnotifyMode: "ignore",
      log_configuration: { driver: "k8s-file", size: 10_485_760 },
      privileged: false,
      read_only_filesystem: false,
      pidns: { nsmode: "private" },
      ipcns: { nsmode: "private" },
      utsns: { nsmode: "private" },
      netns: { nsmode: "bridge" },
      Networks: {
        orchd0: {
          interface_name: "eth0",
          static_ips: ["10.210.1.7"],
          static_mac: "0a:6f:0a:d2:01:07",
        },
      },
      r_limits: [
        { type: "NOFILE", soft: 20_000, hard: 20_000 },
        { type: "NPROC", soft: 4096, hard: 4096 },
      ],
    });
  });

  test("a container on the bridge asks the node's name server alone, as Docker's does", () => {
    const resolver = { server: "10.210.1.1", search: ["orchd.internal", "lan"] };
    const namesOf = (change: Partial<ContainerSpec>) => {
      const assignment = anAssignment("t", { container: aContainer(change) });
      const spec = createSpecOf({ assignment, nodeId: anId("n"), network, limits, resolver });
      return [spec["dns_server"], spec["dns_search"], spec["dns_option"]];
    };
    const { server, search } = resolver;
    expect(namesOf({})).toEqual([[server], search, ["ndots:0"]]);
    const own = { dns: ["192.0.2.53"], dnsSearch: ["corp"], dnsOptions: ["ndots:3", "rotate"] };
    expect(namesOf(own)).toEqual([[server], ["corp"], ["ndots:3", "rotate"]]);
    expect(namesOf({ dnsOptions: ["rotate"] })[2]).toEqual(["ndots:0", "rotate"]);
    expect(namesOf({ ...own, networkMode: "host" })).toEqual([
      ["192.0.2.53"],
      ["corp"],
      ["ndots:3", "rotate"],
    ]);
    expect(namesOf({ networkMode: "none" })).toEqual([undefined, undefined, undefined]);
  });

  test("no port is ever published by Podman", () => {
    expect(specOf()).not.toHaveProperty("portmappings");
    expect(specOf()).not.toHaveProperty("publish_image_ports");
  });

  test("a container's own labels can't pretend to be orchd's", () => {
    const { labels } = specOf({ labels: { "orchd.node": "somebody", team: "red" } });
    expect(labels).toMatchObject({ "orchd.node": "nxxxxxxxxxxx", team: "red" });
  });

  test("mounts of each kind become what Podman calls them", () => {
    const spec = specOf({
      mounts: [
        {
          type: "volume",
          volume: "shop_data",
          target: "/data",
          readOnly: true,
          noCopy: true,
          external: false,
          driverOptions: {},
          labels: {},
        },
        {
          type: "bind",
          source: "/srv",
          target: "/srv",
          readOnly: false,
          createSource: true,
          propagation: "rslave",
        },
        { type: "tmpfs", target: "/tmp", sizeBytes: 4096, mode: 0o1777 },
      ],
    });
    expect(spec["volumes"]).toEqual([
      { Name: "shop_data", Dest: "/data", Options: ["ro", "nocopy"] },
    ]);
    expect(spec["mounts"]).toEqual([
      { type: "bind", source: "/srv", destination: "/srv", options: ["rbind", "rw", "rslave"] },
      {
        type: "tmpfs",
        source: "tmpfs",
        destination: "/tmp",
        options: ["notmpcopyup", "size=4096", "mode=1777"],
      },
    ]);
  });

  test("limits are in the kernel's units", () => {
    const spec = specOf(
      { oomKillDisable: true, oomScoreAdjust: 500, shmSizeBytes: 1024 },
      {
        cpuMillis: 1500,
        memoryBytes: 2048,
        memorySwapBytes: -1,
        pids: -1,
        cpuShares: 512,
        cpuSet: "0-1",
      },
    );
    expect(spec["resource_limits"]).toEqual({
      memory: { limit: 2048, swap: -1, disableOOMKiller: true },
      cpu: { shares: 512, cpus: "0-1", period: 100_000, quota: 150_000 },
      pids: { limit: -1 },
    });
    expect(spec).toMatchObject({ oom_score_adj: 500, shm_size: 1024 });
  });

  test("limits of processes stay within what the service may grant", () => {
    const spec = specOf({
      ulimits: [
        { name: "nofile", soft: 1000, hard: 50_000 },
        { name: "memlock", soft: -1, hard: -1 },
      ],
    });
    expect(JSON.stringify(spec["r_limits"])).toBe(
      JSON.stringify([
        { type: "NOFILE", soft: 1000, hard: 20_000 },
        { type: "NPROC", soft: 4096, hard: 4096 },
        { type: "MEMLOCK", soft: "inf", hard: "inf" },
      ]).replaceAll('"inf"', "18446744073709551615"),
    );
  });

  test("names, hosts and name servers are handed on, with the gateway in its place", () => {
    const spec = specOf({
      hostname: "web-1",
      domainName: "example.test",
      extraHosts: [
        { host: "db", address: "10.1.1.1" },
        { host: "six", address: "fd00::1" },
        { host: "node", address: "host-gateway" },
      ],
      dns: ["10.210.1.1"],
      dnsSearch: ["shop.internal"],
      dnsOptions: ["ndots:2"],
      sysctls: { "net.core.somaxconn": "64" },
    });
    expect(spec).toMatchObject({
      hostname: "web-1",
      hostadd: ["db:10.1.1.1", "six:fd00::1", "node:10.210.1.1"],
      dns_server: ["10.210.1.1"],
      dns_search: ["shop.internal"],
      dns_option: ["ndots:2"],
      sysctl: { "net.core.somaxconn": "64", "kernel.domainname": "example.test" },
    });
  });

  test("a container in another one's network is led there, and knows by whom it is", () => {
    const shared = { task: anId<"task">("o"), path: "/run/netns/other" };
    const extraHosts = [{ host: "node", address: "host-gateway" }];
    const spec = specOf(
      { networkMode: "service", networkOf: "vpn", extraHosts },
      {},
      undefined,
      shared,
    );
    expect(spec).toMatchObject({
      netns: { nsmode: "path", value: "/run/netns/other" },
      labels: { "orchd.network-task": shared.task },
      hostadd: ["node:10.210.1.1"],
    });
    expect(spec).not.toHaveProperty("Networks");
  });

  test("a container on the host's network belongs to no network of Podman", () => {
    const spec = specOf({ networkMode: "host" });
    expect(spec["netns"]).toEqual({ nsmode: "host" });
    expect(spec).not.toHaveProperty("Networks");
  });

  test("security is as Compose spells it", () => {
    const spec = specOf({
      privileged: true,
      capAdd: ["NET_ADMIN"],
      capDrop: ["ALL"],
      usernsMode: "private",
      cgroupMode: "private",
      devices: [{ source: "/dev/ttyUSB0", target: "/dev/tty0", permissions: "" }],
      securityOptions: [
        "no-new-privileges",
        "seccomp=unconfined",
        "apparmor:mine",
        "label=type:spc_t",
        "label=level:s0",
        "mask=/proc/a:/proc/b",
        "systempaths=unconfined",
      ],
    });
    expect(spec).toMatchObject({
      privileged: true,
      cap_add: ["NET_ADMIN"],
      cap_drop: ["ALL"],
      userns: { nsmode: "auto" },
      cgroupns: { nsmode: "private" },
      devices: [{ path: "/dev/ttyUSB0:/dev/tty0:rwm" }],
      no_new_privileges: true,
      seccomp_profile_path: "unconfined",
      apparmor_profile: "mine",
      selinux_opts: ["type:spc_t", "level:s0"],
      mask: ["/proc/a", "/proc/b"],
      unmask: ["ALL"],
    });
  });

  test("a stop signal is a number, and a grace period is whole seconds, rounded up", () => {
    expect(specOf({ stopSignal: "SIGUSR1", stopGraceMs: 1200 })).toMatchObject({
      stop_signal: 10,
      stop_timeout: 2,
    });
    expect(specOf({ stopSignal: "RTMIN+3" })).toMatchObject({ stop_signal: 37 });
    expect(() => specOf({ stopSignal: "SIGNONSENSE" })).toThrow(OrchdError);
  });
});
