import { readFileSync } from "node:fs";
import type { ContainerSpec } from "../../model/container.ts";
import type { Resolver } from "../driver.ts";
import { namesSpecOf } from "../podman/names-spec.ts";

export interface EtcInput {
  spec: ContainerSpec;
  hostname: string;
  /** Where the node is for those on its bridge. */
  gateway: string;
  address?: string;
  resolver?: Resolver;
}

/** What stands in a container's own files of /etc, by name. */
export function etcFilesOf(input: EtcInput): Map<string, string> {
  const files = new Map([
    ["hosts", hostsOf(input, readOwn("/etc/hosts"))],
    ["resolv.conf", resolvConfOf(input, readOwn("/etc/resolv.conf"))],
  ]);
  if (input.spec.utsMode === "private") files.set("hostname", `${input.hostname}\n`);
  return files;
}

/** `extra_hosts` come before what the machine has, as with Podman. */
export function hostsOf({ spec, hostname, gateway, address }: EtcInput, machine: string): string {
  const isOnBridge = spec.networkMode === "bridge" || spec.networkMode === "service";
  const node = isOnBridge ? gateway : "127.0.0.1";
  const extra = spec.extraHosts.map(
    ({ host, address: target }) => `${target === "host-gateway" ? node : target}\t${host}`,
  );
  const own = spec.networkMode === "host" ? [] : [`${address ?? "127.0.1.1"}\t${hostname}`];
  const lines = machine.split("\n").filter((line) => line.trim() !== "");
  return [...extra, ...lines, ...own, ""].join("\n");
}

export function resolvConfOf({ spec, resolver }: EtcInput, machine: string): string {
  const names = namesSpecOf(spec, resolver);
  const lines = machine.split("\n").filter((line) => line.trim() !== "");
  const of = (word: string) => lines.filter((line) => line.split(/\s+/)[0] === word);
  // The machine's own loopback is nobody's name server in another network.
  const reachable = (line: string) => spec.networkMode === "host" || !/\s(127\.|::1$)/.test(line);
  const given = (
    values: string[] | undefined,
    machines: string[],
    write: (v: string[]) => string[],
  ) => (values === undefined ? machines : write(values));
  return [
    ...given(names.dns_search, of("search"), (values) => [`search ${values.join(" ")}`]),
    ...given(names.dns_server, of("nameserver").filter(reachable), (values) =>
      values.map((value) => `nameserver ${value}`),
    ),
    ...given(names.dns_option, of("options"), (values) => [`options ${values.join(" ")}`]),
    "",
  ].join("\n");
}

function readOwn(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The machine has none: neither has the container more than its own.
    return "";
  }
}
