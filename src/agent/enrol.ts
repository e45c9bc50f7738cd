import { X509Certificate } from "node:crypto";
import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { NodeLink } from "../model/link.ts";
import type { Log } from "../lib/log.ts";
import type { Identity } from "../model/join.ts";
import type { NodeFacts } from "../model/node.ts";
import { parseServerAddress } from "../model/server-address.ts";
import { parseToken, type TokenText } from "../model/token-text.ts";
import { discoverServers } from "../net/discovery/discover.ts";
import { digestOfCertificate, digestOfSecret, sameDigest } from "../pki/digest.ts";
import { newKey } from "../pki/keys.ts";
import type { AgentState } from "../store/agent-state/agent-state.ts";
import { joinCluster, renewCertificate } from "./join.ts";

const DISCOVERY_TIMEOUT_MS = 5000;

export interface EnrolOptions {
  state: Pick<
    AgentState,
    "loadIdentity" | "saveIdentity" | "loadKey" | "saveKey" | "loadNodeId" | "statuses"
  >;
  /** As a person typed it; absent when the machine is a node already. */
  token: string | undefined;
  /** `HOST[:PORT]` of servers, as a person typed them; none means that they are looked for. */
  servers: readonly string[];
  labels: Readonly<Record<string, string>>;
  link?: NodeLink;
  /** What the node is called, instead of its host name. */
  name: string | undefined;
  /** What this machine is; asked only when it has to join. */
  facts(): Promise<NodeFacts>;
  clock: Clock;
  log: Log;
}

/**
 * Who this machine is in its cluster: what it remembers, or what joining with the token makes it.
 * A node that is started with a token again stays the node that it is.
 * @throws OrchdError in one sentence what to do: about the token, the address, or the lack of one
 */
export async function enrol(options: EnrolOptions): Promise<Identity> {
  const { state, log } = options;
  const known = state.loadIdentity();
  const token = options.token === undefined ? undefined : readToken(options.token);
  if (known === undefined) return join(options, token ?? refuseWithoutToken());
  if (token === undefined) return known;
  const digest = digestOfCertificate(new X509Certificate(known.caCertificate));
  if (!sameDigest(digest, token.caDigest)) {
    const message =
      "this machine is a node of another cluster than the token's: " +
      "remove its data directory to begin anew, or start `orchd join` without a token";
    throw new OrchdError("conflict", message);
  }
  if (!(await wasRemoved(known))) return known;
  log.warn("this node was removed from the cluster: it joins again with the token");
  return join(options, token);
}

function readToken(text: string): TokenText {
  const parsed = parseToken(text);
  if (parsed.ok) return parsed.value;
  throw new OrchdError("invalid", parsed.problem);
}

function refuseWithoutToken(): never {
  const message =
    "this machine is not a node yet: give it a token, as `orchd join TOKEN@HOST:PORT`; " +
    "`orchd token create` on the server makes one";
  throw new OrchdError("usage", message);
}

async function join(options: EnrolOptions, token: TokenText): Promise<Identity> {
  const { state, labels, link, name, log } = options;
  const servers = options.servers.map(readAddress);
  if (servers.length === 0) servers.push(...(await find(options, token)));
  const key = state.loadKey() ?? (await newKey());
  state.saveKey(key);
  const facts = await options.facts();
  const named = { ...(name === undefined ? {} : { name }), ...(link && { link }) };
  const identity = await joinCluster({ servers, token, key, facts, labels, ...named });
  state.saveIdentity(identity);
  log.info(`joined the cluster as node ${identity.name} (${identity.nodeId})`);
  return identity;
}

function readAddress(text: string): string {
  const parsed = parseServerAddress(text);
  if (parsed.ok) return parsed.value;
  throw new OrchdError("invalid", parsed.problem);
}

async function find({ clock, log }: EnrolOptions, token: TokenText): Promise<string[]> {
  log.info("looking for the cluster on the local network");
  const found = await discoverServers({
    caDigest: token.caDigest,
    key: digestOfSecret(token.secret),
    timeoutMs: DISCOVERY_TIMEOUT_MS,
    clock,
  });
  if (found.length > 0) return found;
  const message =
    "no server of the token's cluster answers on the local network: " +
    "name one as TOKEN@HOST:PORT; it may be elsewhere, or 6770/udp (multicast) be blocked, " +
    "or the token be expired, used up or revoked";
  throw new OrchdError("unreachable", message, { retryable: true });
}

/** Whether a server says that this node is none any more; out of reach means that it is one. */
async function wasRemoved(identity: Identity): Promise<boolean> {
  for (const server of identity.servers) {
    try {
      await renewCertificate(identity, server);
      return false;
    } catch (error) {
      if (error instanceof OrchdError && error.code === "removed") return true;
      // Not in reach, or troubled: the next one may know.
    }
  }
  return false;
}
