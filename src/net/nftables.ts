import { z } from "zod";
import { OrchdError } from "../lib/errors.ts";
import { nftLibrary } from "./nft-library.ts";
import { complaintOf, runProgram } from "./program.ts";

const NFT = {
  name: "nft",
  whatFor: "so no port is published and no network is kept apart (Debian: apt install nftables)",
};

/** Nothing else goes on while the library works, and it keeps the memory that it needed. */
const SHORT_BYTES = 64 * 1024;
/** On a kernel without nftables the library ends the process, and the program only itself. */
let isKernelAble = false;

/**
 * Runs a script of `nft`, all of it or none.
 * @throws OrchdError `runtime` when nft is not installed or refuses the script
 */
export async function applyNftables(script: string): Promise<void> {
  const isForLibrary = isKernelAble && script.length <= SHORT_BYTES;
  const library = isForLibrary ? await nftLibrary() : undefined;
  const complaint = library === undefined ? await refusalOf(script) : library.refusalOf(script);
  isKernelAble ||= complaint === undefined;
  if (complaint === undefined) return;
  throw new OrchdError("runtime", `nft refused the node's rules: ${complaint}`);
}

/** What the program complains of; undefined when the kernel has the script's rules. */
async function refusalOf(script: string): Promise<string | undefined> {
  const output = await runProgram(NFT, ["-f", "-"], script);
  return output.exitCode === 0 ? undefined : complaintOf(output);
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
