import { z } from "zod";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";

const TIMEOUT_MS = 10_000;

/**
 * Runs a script of `nft`, all of it or none.
 * @throws OrchdError `runtime` when nft is not installed or refuses the script
 */
export async function applyNftables(script: string): Promise<void> {
  const { stderr, exitCode } = await runNft(["-f", "-"], script);
  if (exitCode === 0) return;
  const detail = stderr.split("\n", 1)[0] ?? "";
  throw new OrchdError("runtime", `nft refused the rules for published ports: ${detail}`);
}

const listedSchema = z.object({
  nftables: z.array(
    z.object({
      rule: z
        .object({
          comment: z.string().optional(),
          expr: z.array(z.object({ counter: z.object({ packets: z.number() }).optional() })),
        })
        .optional(),
    }),
  ),
});

/**
 * The counters of a chain's rules, by the rules' comments; of rules with the same one the sum.
 * Nothing where the chain is not there.
 * @param chain family, table and name: `ip orchd published`
 */
export async function readCounters(chain: string): Promise<Record<string, number>> {
  const { stdout, exitCode } = await runNft(["-j", "list", "chain", ...chain.split(" ")], "");
  if (exitCode !== 0) return {};
  const counters = new Map<string, number>();
  for (const { rule } of listedSchema.parse(JSON.parse(stdout)).nftables) {
    if (rule?.comment === undefined) continue;
    const packets = rule.expr.reduce((sum, { counter }) => sum + (counter?.packets ?? 0), 0);
    counters.set(rule.comment, (counters.get(rule.comment) ?? 0) + packets);
  }
  return Object.fromEntries(counters);
}

async function runNft(words: string[], input: string) {
  let child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  try {
    child = Bun.spawn(["nft", ...words], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      timeout: TIMEOUT_MS,
    });
  } catch (cause) {
    if (systemCodeOf(cause) !== "ENOENT") throw cause;
    const message =
      "nft is not installed, so no port is published: install it (Debian: apt install nftables)";
    throw new OrchdError("runtime", message, { cause });
  }
  await child.stdin.write(input);
  await child.stdin.end();
  const [exitCode, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { exitCode, stdout, stderr };
}
