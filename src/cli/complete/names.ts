import type { ApiClient } from "../../api/client.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { Completes } from "../commands.ts";
import { connect, type Context } from "../context.ts";
import type { ConnectionOptions } from "../contexts/choose-server.ts";
import { LOCAL } from "../contexts/choose-server.ts";
import { FILES, type Candidate } from "./candidate.ts";

/** Nobody waits longer for a completion. */
const DEADLINE_MS = 500;

/** Names of the cluster that fit an argument; none when the server is not there. */
export async function completeName(
  context: Context,
  completes: Completes,
  current: string,
  connection: ConnectionOptions,
): Promise<Candidate[]> {
  if (completes === "none") return [];
  if (completes === "file") return FILES;
  if (completes === "context") return completeContext(context);
  if (typeof completes !== "string") return completes.map(candidate);
  try {
    const client = await connect(context, connection, DEADLINE_MS);
    const names = await namesFor(client, completes, current);
    return names.map(candidate);
  } catch (error) {
    // A shell that completes is no place for an error: there is just nothing to offer.
    if (error instanceof OrchdError) return [];
    throw error;
  }
}

/** Names of contexts; none where the file can't be read. */
export async function completeContext({ io }: Context): Promise<Candidate[]> {
  const { contextsPathOf, readContexts } = await import("../contexts/contexts-file.ts");
  try {
    return [LOCAL, ...Object.keys(readContexts(contextsPathOf(io.env)).contexts)].map(candidate);
  } catch (error) {
    if (error instanceof OrchdError) return [];
    throw error;
  }
}

function candidate(value: string): Candidate {
  return { value, description: "" };
}

type NameKind = Exclude<Completes, "file" | "context" | "none" | readonly string[]>;

async function namesFor(client: ApiClient, kind: NameKind, current: string): Promise<string[]> {
  switch (kind) {
    case "stack":
      return (await client.stacks()).map((stack) => stack.name);
    case "service":
      return serviceNames(client, current);
    case "replicas":
      return (await serviceNames(client, current)).map((name) => `${name}=`);
    case "task":
      return taskNames(client);
    case "log":
      return both(serviceNames(client, current), taskNames(client));
    case "key":
      return (await client.keyring(false)).map((key) => key.fingerprint);
    case "secret":
    case "config":
      return (await client.items(kind)).map((item) => item.name);
    case "node":
      return nodeNames(client);
    case "network":
      return (await client.networks()).map((network) => network.name);
    case "anything":
      return both(both(serviceNames(client, current), taskNames(client)), nodeNames(client));
  }
}

async function both(first: Promise<string[]>, second: Promise<string[]>): Promise<string[]> {
  return (await Promise.all([first, second])).flat();
}

/** `stack/service`, and the short name when that is what was begun and only one stack has it. */
async function serviceNames(client: ApiClient, current: string): Promise<string[]> {
  const services = await client.services();
  const full = services.map(({ stack, name }) => `${stack}/${name}`);
  if (current.includes("/")) return full;
  const short = services
    .map(({ name }) => name)
    .filter((name, _, all) => all.indexOf(name) === all.lastIndexOf(name));
  return [...full, ...short];
}

async function taskNames(client: ApiClient): Promise<string[]> {
  return (await client.tasks()).map((task) => task.name);
}

async function nodeNames(client: ApiClient): Promise<string[]> {
  return (await client.nodes()).map((node) => node.hostname);
}
