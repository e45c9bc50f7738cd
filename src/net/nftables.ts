import { z } from "zod";
import { OrchdError } from "../lib/errors.ts";
import { complaintOf, runProgram } from "./program.ts";

const NFT = {
  name: "nft",
  whatFor: "so no port is published and no network is kept apart (Debian: apt install nftables)",
};

/**
 * Runs a script of `nft`, all of it or none.
 * @throws OrchdError `runtime` when nft is not installed or refuses the script
 */
export async function applyNftables(script: string): Promise<void> {
  const output = await runProgram(NFT, ["-f", "-"], script);
  if (output.exitCode === 0) return;
  throw new OrchdError("runtime", `nft refused the node's rules: ${complaintOf(output)}`);
}

const countersSchema = z.object({
  nftables: z.array(
    z.object({ counter: z.object({ name: z.string(), packets: z.number() }).optional() }),
  ),
});

/** The packets that each named counter of a table has seen; nothing where there is no table. */
export async function readCounters(table: string): Promise<Map<string, number>> {
  const words = ["-j", "list", "counters", "table", ...table.split(" ")];
  const { stdout, exitCode } = await runProgram(NFT, words);
  if (exitCode !== 0) return new Map();
  const { nftables } = countersSchema.parse(JSON.parse(stdout));
  return new Map(
    nftables.flatMap(({ counter: c }) => (c === undefined ? [] : [[c.name, c.packets]])),
  );
}

/** The text of a table or chain, `chain ip orchd forward`; undefined when it is not there. */
export async function listRules(what: string): Promise<string | undefined> {
  const { stdout, exitCode } = await runProgram(NFT, ["list", ...what.split(" ")]);
  return exitCode === 0 ? stdout : undefined;
}

const chainsSchema = z.object({ nftables: z.array(z.object({ chain: z.unknown().optional() })) });

/** What nft tells of each chain, ours and others'; none where it can't. */
export async function listChains(): Promise<unknown[]> {
  const { stdout, exitCode } = await runProgram(NFT, ["-j", "list", "chains"]);
  if (exitCode !== 0) return [];
  return chainsSchema.parse(JSON.parse(stdout)).nftables.flatMap(({ chain }) => chain ?? []);
}
