import { $ } from "zx";

const OURS = "label=orchd.node";
const quiet = $({ quiet: true, nothrow: true });

/**
 * Removes what has orchd's label, by the command line that Podman and Docker share; nothing where
 * that is missing or nobody answers.
 * @param force how containers are removed although they run
 */
export async function removeLabelled(
  cli: readonly string[],
  force: readonly string[] = ["--force"],
): Promise<void> {
  const found = async (...list: string[]) =>
    words(await quiet`${cli} ${list} --quiet --filter ${OURS}`);
  const containers = await found("ps", "--all");
  if (containers.length > 0) await quiet`${cli} rm ${force} --volumes ${containers}`;
  const volumes = await found("volume", "ls");
  if (volumes.length > 0) await quiet`${cli} volume rm --force ${volumes}`;
  const networks = await found("network", "ls");
  if (networks.length > 0) await quiet`${cli} network rm ${networks}`;
  await quiet`${cli} image rm --force localhost/orchd-hello:1`;
}

function words({ stdout }: { stdout: string }): string[] {
  return stdout.split(/\s+/).filter((word) => word !== "");
}
