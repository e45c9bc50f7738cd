import { expect, test } from "bun:test";
import { join } from "node:path";
import { formatTable } from "../../../scripts/bench/figure.ts";
import type { RuntimeKind } from "../../../src/runtime/open.ts";
import { CANNOT, FAKE_IS_MEMORY } from "../../conformance/runtime-cannot.ts";
import type { Case } from "../../conformance/runtime-cases.ts";
import { healthCases } from "../../conformance/runtime-health.ts";
import { runtimeCases } from "../../conformance/runtime.ts";
import { specCases } from "../../conformance/runtime-spec.ts";
import { expectGolden } from "../golden-file.ts";

/*
 * Which driver honours what, made of the conformance suites' own cases: one that is not skipped is
 * run against the driver, and passes.
 */
const DRIVERS: readonly RuntimeKind[] = ["podman", "containerd", "docker", "process", "fake"];

/** The keys of a service in a Compose file that each case looks at from inside. */
const KEYS: Readonly<Record<string, string>> = {
  "environment, user, directory, host and domain name are as given":
    "environment user group_add working_dir hostname domainname",
  "entrypoint and command follow each other": "entrypoint command",
  "a terminal is one, and its lines end without a carriage return": "tty",
  "a stop signal of its own reaches the process": "stop_signal",
  "limits of memory, processor, processes and files hold":
    "mem_limit cpus pids_limit ulimits deploy.resources.limits",
  "limits change under a program that runs, and can be taken away again": "deploy.resources.limits",
  "a limit that this machine can't give is lowered, and the container starts": "ulimits",
  "shared memory, and when the kernel ends it for want of memory, are as given":
    "shm_size oom_score_adj",
  "it keeps to its set of processors": "cpuset",
  "its share of processors is as given": "cpu_shares",
  "init comes first, and takes in what nobody waits for": "init",
  "a privileged one has every right that the node itself has": "privileged",
  "volumes, bind mounts and tmpfs are where they belong, with their rights": "volumes tmpfs",
  "a missing bind mount that nobody may make is one sentence": "volumes",
  "capabilities, devices and security options are as given":
    "cap_add cap_drop security_opt devices read_only",
  "a device that the task was given is there, also under its lasting name":
    "deploy.resources.reservations.devices",
  "what the driver can't do is one sentence": "user security_opt cap_add command devices",
  "address, hosts, name servers and sysctls are as given on the node's network":
    "networks extra_hosts dns dns_search dns_opt sysctls",
  "an IPv6 address comes along where the node's network has such": "networks",
  "the node's own network, processes and host name can be shared": "network_mode pid ipc uts",
};

function titlesOf(register: (test: Case) => void): string[] {
  const titles: string[] = [];
  register((title) => titles.push(title));
  return titles;
}

const nobody = (): never => {
  throw new Error("no case is run here");
};
const spec = titlesOf((test) =>
  specCases({ name: "the driver", lab: nobody, inside: nobody, test }),
);
const health = titlesOf((test) =>
  healthCases({ lab: nobody, start: nobody, startTask: nobody, run: nobody, test }),
);
const runtime = titlesOf((test) =>
  runtimeCases({ lab: nobody, assign: nobody, create: nobody, run: nobody, test }),
);
const notOfFake = new Set([...spec, ...health]);

function reasonOf(driver: RuntimeKind, title: string): string | undefined {
  if (driver === "fake" && notOfFake.has(title)) return FAKE_IS_MEMORY;
  return CANNOT[driver][title];
}

test("each case of a container's settings says which keys of Compose it looks at", () => {
  expect(Object.keys(KEYS).toSorted()).toEqual(spec.toSorted());
});

test("a reason is one of a case that there is", () => {
  const all = new Set([...spec, ...health, ...runtime]);
  const reasons = DRIVERS.flatMap((driver) => Object.keys(CANNOT[driver]));
  expect(reasons.filter((title) => !all.has(title))).toEqual([]);
});

test("which driver honours what, and why not, is as the table says", () => {
  const reasons: string[] = [];
  const cell = (reason: string | undefined) => {
    if (reason === undefined) return "yes";
    if (!reasons.includes(reason)) reasons.push(reason);
    return `[${reasons.indexOf(reason) + 1}]`;
  };
  const keys = [...new Set(Object.values(KEYS).flatMap((words) => words.split(" ")))].toSorted();
  const ofKey = (driver: RuntimeKind, key: string) => {
    const looking = spec.filter((title) => KEYS[title]?.split(" ").includes(key));
    return looking.map((title) => reasonOf(driver, title)).find(Boolean);
  };
  const row = (title: string) => [title, ...DRIVERS.map((driver) => cell(reasonOf(driver, title)))];
  const head = (what: string) => [what, ...DRIVERS];
  const tables = [
    [head("key"), ...keys.map((key) => [key, ...DRIVERS.map((d) => cell(ofKey(d, key)))])],
    [head("what a container sees of its settings"), ...spec.map(row)],
    [head("commands of health checks"), ...health.map(row)],
    [head("from creation to removal"), ...runtime.map(row)],
  ];
  const notes = reasons.map((reason, at) => `[${at + 1}] ${reason}`).join("\n");
  const text = [...tables.map((rows) => formatTable(rows)), notes].join("\n\n");
  expectGolden(join(import.meta.dir, "drivers.txt"), `${text}\n`);
});
