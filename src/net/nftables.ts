import { OrchdError, systemCodeOf } from "../lib/errors.ts";

const TIMEOUT_MS = 10_000;

/**
 * Runs a script of `nft`, all of it or none.
 * @throws OrchdError `runtime` when nft is not installed or refuses the script
 */
export async function applyNftables(script: string): Promise<void> {
  let child: Bun.Subprocess<"pipe", "ignore", "pipe">;
  try {
    child = Bun.spawn(["nft", "-f", "-"], {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "pipe",
      timeout: TIMEOUT_MS,
    });
  } catch (cause) {
    if (systemCodeOf(cause) !== "ENOENT") throw cause;
    const message =
      "nft is not installed, so no port is published: install it (Debian: apt install nftables)";
    throw new OrchdError("runtime", message, { cause });
  }
  await child.stdin.write(script);
  await child.stdin.end();
  const [exitCode, stderr] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  if (exitCode === 0) return;
  const detail = stderr.split("\n", 1)[0] ?? "";
  throw new OrchdError("runtime", `nft refused the rules for published ports: ${detail}`);
}
