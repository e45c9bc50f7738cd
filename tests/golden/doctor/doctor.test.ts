import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { formatDiagnosis } from "../../../src/cli/commands/doctor.ts";
import { paintFor } from "../../../src/cli/output/color.ts";
import { judgeMachine } from "../../../src/core/doctor/judge.ts";
import type { MachineFacts, PortFact } from "../../../src/core/doctor/machine-facts.ts";
import { FakeIo } from "../../unit/cli/fake-io.ts";
import { expectGolden } from "../golden-file.ts";

const GIB = 1024 ** 3;
const DAY = 86_400_000;

const PORTS: PortFact[] = (
  [
    [6770, "tcp", "server"],
    [6770, "udp", "discovery"],
    [7946, "tcp", "gossip"],
    [7946, "udp", "gossip"],
    [8472, "udp", "vxlan"],
    [53, "udp", "names"],
    [80, "tcp", "http"],
    [443, "tcp", "https"],
  ] as const
).map(([port, protocol, purpose]) => ({ port, protocol, purpose, holder: undefined }));

/** A machine on which all is well. */
const WELL: MachineFacts = {
  orchds: [{ pid: 10, command: "orchd join" }],
  programs: { missing: [] },
  ports: PORTS.map((port) => ({ ...port, holder: { pid: 10, name: "orchd", isOrchd: true } })),
  forwarding: { isOn: true, isOrchdRunning: true },
  kernel: {},
  wireguard: { isThere: true },
  range: { range: "10.210.0.0/16", conflict: undefined },
  firewalls: [],
  mtu: {
    mode: "vxlan",
    underlay: { device: "eth0", mtu: 1500 },
    wanted: 1450,
    tunnel: { device: "orchd-vx", mtu: 1450 },
  },
  paths: [{ node: "h2", address: "10.0.0.2", size: 1500, largest: 1500 }],
  clock: { server: "10.0.0.1:6770", aheadMs: -700 },
  memory: { isCounted: true, bootLine: "/boot/cmdline.txt" },
  disks: [{ path: "/var/lib/orchd", freeBytes: 30 * GIB, totalBytes: 60 * GIB }],
  certificates: [{ host: "shop.example", isGiven: true, leftMs: 60 * DAY }],
  strangers: [],
};

const nginx = { pid: 77, name: "nginx", isOrchd: false };
const kernel = { pid: undefined, name: "the kernel", isOrchd: false };

/** What is otherwise on a machine on which all is well, by what people would say of it. */
const MACHINES: [title: string, otherwise: MachineFacts][] = [
  ["all is well", {}],
  ["every port is taken", { ports: PORTS.map((port) => ({ ...port, holder: nginx })) }],
  [
    "a resolver listens on every address, and the kernel's tunnels have their port",
    {
      ports: PORTS.map((port) => {
        if (port.purpose === "vxlan") return { ...port, holder: kernel };
        const dnsmasq = { pid: 8, name: "dnsmasq", isOrchd: false };
        return port.port === 53 ? { ...port, address: "10.210.2.1", holder: dnsmasq } : port;
      }),
    },
  ],
  ["somebody switched forwarding off", { forwarding: { isOn: false, isOrchdRunning: true } }],
  [
    "and that of IPv6 too, where tasks have it",
    { forwarding: { isOn: false, isIpv6On: false, isOrchdRunning: true } },
  ],
  ["nobody has asked for it yet", { forwarding: { isOn: false, isOrchdRunning: false } }],
  [
    "a kernel made for something else",
    {
      kernel: {
        nftables: "Operation not supported",
        vxlan: "Unknown device type.",
        bridgeFilter: "there is no module br_netfilter",
      },
      memory: { isCounted: false, bootLine: undefined },
    },
  ],
  ["a network that is encrypted, and no WireGuard", { wireguard: { isThere: false } }],
  [
    "a VPN in the cluster's range",
    {
      range: {
        range: "10.210.0.0/16",
        conflict: { subnet: "10.0.0.0/8", device: "tun0", free: "172.30.0.0/16" },
      },
    },
  ],
  [
    "a VPN in every range",
    {
      range: {
        range: "10.210.0.0/16",
        conflict: { subnet: "10.0.0.0/8", device: "tun0" },
      },
    },
  ],
  [
    "Docker is there",
    {
      firewalls: [
        {
          what: "Docker's firewall drops what other nodes send to tasks here",
          why: "services here do not answer by way of other nodes",
          remedy: "allow it with: iptables -I DOCKER-USER -d 10.210.0.0/16 -j ACCEPT",
        },
      ],
    },
  ],
  [
    "a tunnel in another one",
    {
      mtu: {
        mode: "vxlan",
        underlay: { device: "eth0", mtu: 1400 },
        wanted: 1350,
        tunnel: { device: "orchd-vx", mtu: 1450 },
      },
      paths: [
        { node: "h2", address: "10.0.0.2", size: 1500, largest: 1400 },
        { node: "drops-pings", address: "10.0.0.3", size: 1500, largest: 0 },
      ],
    },
  ],
  ["a clock ten seconds behind", { clock: { server: "10.0.0.1:6770", aheadMs: -10_000 } }],
  ["a clock years ahead", { clock: { server: "10.0.0.1:6770", aheadMs: 1e11 } }],
  ["a Raspberry Pi as it comes", { memory: { isCounted: false, bootLine: "/boot/cmdline.txt" } }],
  [
    "disks that fill up",
    {
      disks: [
        { path: "/var/lib/orchd", freeBytes: 3 * GIB, totalBytes: 60 * GIB },
        { path: "/var/lib/containers", freeBytes: GIB / 4, totalBytes: 60 * GIB },
        {
          path: "/srv",
          freeBytes: 50 * GIB,
          totalBytes: 60 * GIB,
          freeFiles: 12,
          totalFiles: 100_000,
        },
      ],
    },
  ],
  [
    "a server and an agent on one machine",
    {
      orchds: [
        { pid: 10, command: "orchd server" },
        { pid: 11, command: "orchd join" },
      ],
    },
  ],
  [
    "certificates that people forgot",
    {
      certificates: [
        { host: "shop.example", isGiven: true, leftMs: 13 * DAY },
        { host: "old.example", isGiven: true, leftMs: -DAY },
        { host: "alone.example", isGiven: false, leftMs: 2 * DAY },
      ],
    },
  ],
  ["programs are missing", { programs: { missing: ["podman", "crun or runc"] } }],
  ["a second cluster", { strangers: ["10.0.0.9:6770"] }],
];

describe("what orchd doctor says of a machine", () => {
  test("is as it is written down", () => {
    const paint = paintFor(new FakeIo());
    const told = MACHINES.map(([title, otherwise]) => {
      const diagnosis = { ...judgeMachine({ ...WELL, ...otherwise }), skipped: [] };
      return [`# ${title}`, ...formatDiagnosis(diagnosis, paint), ""].join("\n");
    });
    const parts = judgeMachine({ clock: WELL.clock ?? { server: "", aheadMs: 0 } });
    const skipped = [{ check: "kernel", why: "unshare is not installed" }];
    const lines = formatDiagnosis({ ...parts, skipped }, paint);
    told.push(["# hardly anything could be found out", ...lines, ""].join("\n"));
    expectGolden(join(import.meta.dir, "doctor.txt"), told.join("\n"));
  });

  test("is one line for each finding", () => {
    const { findings } = judgeMachine(Object.assign({}, WELL, ...MACHINES.map(([, one]) => one)));
    expect(findings.length).toBeGreaterThan(10);
    for (const { what, why, remedy } of findings) {
      expect(`${what}${why}${remedy}`).not.toInclude("\n");
    }
  });
});
