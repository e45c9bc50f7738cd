import { lookAtServer } from "../../api/client-ca.ts";
import { messageChainOf, OrchdError } from "../../lib/errors.ts";
import type { MachineFacts, PathFact } from "../../core/doctor/machine-facts.ts";
import { formatServerAddress } from "../../model/server-address.ts";
import { readNeighbours } from "../../net/links.ts";
import { largestPacket } from "../../net/path-mtu.ts";
import { caDigestOf } from "../../pki/read.ts";
import type { OwnOrchd } from "./own-orchd.ts";

const ANSWER_TIMEOUT_MS = 3000;
/** A neighbour that drops what it is sent would hold up everybody. */
const NEIGHBOUR_TIMEOUT_MS = 1500;
const NEIGHBOURS_MAX = 64;
/** Whatever cuts large packets seldom does so for one node of many alone. */
const PATHS_MAX = 16;
/** A head tells whole seconds: on average half of one has gone by. */
const HALF_SECOND_MS = 500;

/**
 * How this machine's clock stands against the first server that answers.
 * @throws OrchdError what the last one said
 */
export async function findClock({ servers, ca }: OwnOrchd): Promise<MachineFacts["clock"]> {
  let problem = new OrchdError("unreachable", "no server tells its time");
  for (const server of servers) {
    try {
      const begin = Date.now();
      const { serverTime } = await lookAtServer(server, ca, ANSWER_TIMEOUT_MS);
      if (serverTime === undefined) continue;
      const own = (begin + Date.now()) / 2;
      return { server, aheadMs: Math.round(own - serverTime - HALF_SECOND_MS) };
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      problem = error;
    }
  }
  throw problem;
}

/** Servers of other clusters among the machines that this one has lately spoken with. */
export async function findStrangers(own: OwnOrchd, port: number): Promise<string[]> {
  const known = new Set(own.others.map(({ address }) => address));
  const ours = own.ca === undefined ? undefined : caDigestOf(own.ca);
  const neighbours = (await readNeighbours()).filter((address) => !known.has(address));
  const found = await Promise.all(
    neighbours.slice(0, NEIGHBOURS_MAX).map(async (address) => {
      const server = formatServerAddress(address, port);
      const digest = await Promise.race([digestAt(server), Bun.sleep(NEIGHBOUR_TIMEOUT_MS)]);
      return digest === undefined || digest === ours ? [] : [server];
    }),
  );
  return found.flat();
}

async function digestAt(server: string): Promise<string | undefined> {
  try {
    return (await lookAtServer(server, undefined, NEIGHBOUR_TIMEOUT_MS)).caDigest;
  } catch {
    // No orchd, as on most machines.
    return undefined;
  }
}

/** The ways to the other nodes, each tried with the largest packet that this machine sends. */
export async function findPaths({ others }: OwnOrchd, size: number): Promise<PathFact[]> {
  const reached = others.filter(({ address }) => /^[\d.]+$/.test(address)).slice(0, PATHS_MAX);
  return Promise.all(
    reached.map(async ({ hostname: node, address }) => {
      return { node, address, size, largest: await largestPacket(address, size) };
    }),
  );
}

/** Why a check could not be made, in one line. */
export function whyNot(error: unknown): string {
  return messageChainOf(error).replaceAll("\n", " ");
}
