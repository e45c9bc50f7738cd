import { join } from "node:path";
import { HELLO_IMAGE, writeHelloImage } from "../../scripts/image.ts";
import type { FleetHost } from "../../scripts/lab/fleet.ts";

/** A task's container, as programs outside reach it. */
export interface Container {
  pid: string;
  address: string;
}

export async function containerOf(host: FleetHost, stack: string): Promise<Container> {
  const [id = ""] = (
    await host.podman("ps", "--quiet", "--filter", `label=orchd.stack=${stack}`)
  ).split("\n");
  const format = "{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
  const [pid = "", address = ""] = (await host.podman("inspect", "--format", format, id)).split(
    " ",
  );
  return { pid, address };
}

/** What a task gets that asks over HTTP; nothing when no answer comes. */
export async function askFrom(
  host: FleetHost,
  task: Container,
  url: string,
): Promise<string | undefined> {
  const words = ["nsenter", "-t", task.pid, "-n", "busybox", "wget", "-q", "-O", "-", url];
  const { code, stdout } = await host.lab.run(words, { timeoutMs: 2000 });
  return code === 0 ? stdout.trim() : undefined;
}

export async function run(host: FleetHost, ...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await host.lab.run(words);
  if (code !== 0) throw new Error(`${words.join(" ")}: ${stderr}`);
  return stdout.trim();
}

/** Who answers on a port of a host, asked often enough to hear everybody. */
export async function answers(host: FleetHost, url: string, tries: number): Promise<Set<string>> {
  const heard = new Set<string>();
  for (let i = 0; i < tries; i++) heard.add((await host.get(url)) ?? "nobody");
  return heard;
}

/** The kernel routes a link's own address once it knows that nobody else has it. */
async function waitForAddresses(host: FleetHost): Promise<void> {
  await host.waitFor("the host's addresses are its own", async () => {
    return (await run(host, "ip", "-6", "-o", "addr", "show", "tentative")) === "";
  });
}

/** What the machine holds of a network, with nothing that passes. */
export async function stateOf(host: FleetHost): Promise<Record<string, string>> {
  const stable = (text: string) =>
    text
      .replaceAll(/counter packets \d+ bytes \d+/g, "counter")
      .replaceAll(/^\d+: /gm, "")
      .split("\n");
  return {
    rules: stable(await run(host, "nft", "list", "ruleset")).join("\n"),
    links: stable(await run(host, "ip", "-o", "link"))
      .sort()
      .join("\n"),
    addresses: stable(await run(host, "ip", "-o", "-4", "addr"))
      .sort()
      .join("\n"),
    routes: stable(await run(host, "ip", "route", "show", "table", "all"))
      .sort()
      .join("\n"),
  };
}

/** What a machine holds that has the image and no orchd yet. */
export async function stateBefore(host: FleetHost): Promise<Record<string, string>> {
  const archive = join(host.lab.dir, "hello.tar");
  writeHelloImage(archive);
  await host.podman("load", "--input", archive);
  // Podman's own rules are there as soon as a container was once in a network of its.
  await host.podman("run", "--rm", HELLO_IMAGE, "sh", "-c", ":");
  await waitForAddresses(host);
  return stateOf(host);
}

/** Whether new connections to services may go to this address; so it is while nobody has tables. */
export async function leadsTo(host: FleetHost, address: string): Promise<boolean> {
  const table = await run(host, "nft", "list", "table", "ip", "orchd");
  const choices = [...table.matchAll(/dnat [^\n]*/g)];
  const named = choices.flatMap(([rule]) => rule.match(/\d+(?:\.\d+){3}/g) ?? []);
  return choices.length === 0 || named.includes(address);
}
