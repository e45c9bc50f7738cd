import { formatBytes, formatDuration } from "../../lib/text.ts";
import type { Diagnosis, Finding } from "../../model/diagnosis.ts";
import { formatDisk, levelOfDisks } from "../../model/disk.ts";
import type { MachineFacts } from "./machine-facts.ts";
import {
  judgeFirewalls,
  judgeForwarding,
  judgeKernel,
  judgeMtu,
  judgePaths,
  judgeRange,
  judgeWireguard,
} from "./network-findings.ts";
import { portFindings } from "./port-findings.ts";

/** A clock that is off by less is nobody's trouble. */
const CLOCK_ADVICE_MS = 5_000;
/** By so much, and programs begin to refuse each other's certificates and tokens. */
const CLOCK_FAULT_MS = 60_000;

/** So long before a certificate runs out people should have another one made. */
const CERTIFICATE_ADVICE_MS = 14 * 86_400_000;

type Judged = Omit<Finding, "check">[];
type Facts<Check extends keyof MachineFacts> = NonNullable<MachineFacts[Check]>;

/** One check; nothing where the machine was not looked at for it. */
type Judge = (facts: MachineFacts) => { check: string; findings: Finding[] } | undefined;

/** In the order in which people should read them. */
const JUDGES: readonly Judge[] = [
  on("orchds", judgeOrchds),
  on("programs", judgePrograms),
  on("ports", portFindings),
  on("forwarding", judgeForwarding),
  on("kernel", judgeKernel),
  on("wireguard", judgeWireguard),
  on("range", judgeRange),
  on("firewalls", judgeFirewalls),
  on("mtu", judgeMtu),
  on("paths", judgePaths),
  on("clock", judgeClock),
  on("memory", judgeMemory),
  on("disks", judgeDisks),
  on("certificates", judgeCertificates),
  on("strangers", judgeStrangers),
];

function on<Check extends keyof MachineFacts>(
  check: Check,
  judge: (facts: Facts<Check>) => Judged,
): Judge {
  return ({ [check]: facts }) => {
    if (facts === undefined) return undefined;
    return { check, findings: judge(facts).map((finding) => ({ check, ...finding })) };
  };
}

/** What is wrong with a machine: faults first, each part that was found out judged by itself. */
export function judgeMachine(facts: MachineFacts): Pick<Diagnosis, "findings" | "checked"> {
  const judged = JUDGES.flatMap((judge) => judge(facts) ?? []);
  const rank = ({ level }: Finding) => (level === "fault" ? 0 : 1);
  return {
    findings: judged.flatMap(({ findings }) => findings).toSorted((a, b) => rank(a) - rank(b)),
    checked: judged.map(({ check }) => check),
  };
}

function judgeOrchds(orchds: Facts<"orchds">): Judged {
  if (orchds.length < 2) return [];
  const all = orchds.map(({ pid, command }) => `${command} (pid ${pid})`).join(" and ");
  return [
    {
      level: "fault",
      what: `more than one orchd runs here: ${all}`,
      why: "only one of them can have the machine's container network",
      remedy: "stop all but one, or start the server with --no-agent",
    },
  ];
}

function judgePrograms({ missing }: { missing: string[] }): Judged {
  return missing.map((name) => ({
    level: "fault",
    what: `${name} is not installed`,
    why: "orchd runs it, and no task starts here without it",
    remedy: "install it, as README.md says under Install",
  }));
}

function judgeClock({ server, aheadMs }: Facts<"clock">): Judged {
  const off = Math.abs(aheadMs);
  if (off < CLOCK_ADVICE_MS) return [];
  const direction = aheadMs > 0 ? "ahead of" : "behind";
  return [
    {
      level: off < CLOCK_FAULT_MS ? "advice" : "fault",
      what: `this machine's clock is ${formatDuration(off)} ${direction} that of ${server}`,
      why: "orchd goes by the server's, but programs in tasks, their logs and certificates do not",
      remedy: "set it by NTP (timedatectl set-ntp true, or a server of the site's own)",
    },
  ];
}

function judgeMemory({ isCounted, bootLine }: Facts<"memory">): Judged {
  if (isCounted) return [];
  const words = "cgroup_enable=memory cgroup_memory=1";
  return [
    {
      level: "fault",
      what: "the kernel does not count the memory of containers",
      why: "limits of memory do not hold, and one task can take the machine's",
      remedy:
        bootLine === undefined
          ? `start the kernel with ${words}`
          : `add ${words} to the one line of ${bootLine} and reboot`,
    },
  ];
}

function judgeDisks(disks: Facts<"disks">): Judged {
  return disks.flatMap((space): Judged => {
    const disk = levelOfDisks([space], "roomy");
    if (disk.level === "roomy") return [];
    const isFull = disk.level === "full";
    const files = space.freeFiles === undefined ? "" : `, and room for ${space.freeFiles} files`;
    return [
      {
        level: isFull ? "fault" : "advice",
        what: `of the disk ${formatDisk(disk)}${files}`,
        why: isFull ? "no task is started here" : "images that no task here needs are removed",
        remedy: `make room, or give orchd a larger disk than ${formatBytes(space.totalBytes)}`,
      },
    ];
  });
}

function judgeCertificates(certificates: Facts<"certificates">): Judged {
  return certificates.flatMap(({ host, isGiven, leftMs }): Judged => {
    if (leftMs > CERTIFICATE_ADVICE_MS) return [];
    const isOver = leftMs <= 0;
    const when = isOver ? "ran out" : `runs out in ${formatDuration(leftMs)}`;
    return [
      {
        level: isOver ? "fault" : "advice",
        what: `the certificate for ${host} ${when}`,
        why: isOver ? "browsers refuse to open it" : "browsers refuse to open it from then on",
        remedy: isGiven
          ? "give the secret that holds it a newer one: every node shows that at once"
          : "see why this node reaches no server, which would have renewed it",
      },
    ];
  });
}

function judgeStrangers(servers: readonly string[]): Judged {
  return servers.map((server) => ({
    level: "advice",
    what: `another cluster of orchd answers at ${server}`,
    why: "its machines and this one share no tasks, names or keys, though they share a network",
    remedy: "if it was meant to be one cluster, join it with a token of that server",
  }));
}
