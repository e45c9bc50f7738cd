import type { Command } from "commander";
import { parseImageReference, repositoryOf } from "../../core/oci/reference.ts";
import { connect, newRemoteCommand, usageError } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { readLogin } from "../registry-login.ts";
import { showLoaded } from "./image-archives.ts";

const TRANSPORT = "docker://";

interface CopyFlags extends RemoteOptions {
  credsFile?: string;
  all?: boolean;
}

export function copyImageCommand(context: Context): Command {
  return newRemoteCommand({
    name: "copy",
    description:
      "Brings an image from a registry to the site, which keeps it, and has every node get it. " +
      "The server asks the registry; what breaks off goes on where it broke when asked again.",
    examples: [
      "orchd image copy docker://registry.example/team/web:1",
      "orchd image copy docker://registry.example/team/web:1 web:1 --creds-file login",
      "pass show registry | orchd image copy docker://registry.example/web:1 --creds-file -",
    ],
  })
    .name("copy")
    .argument("<from>", "docker:// and the image's name in its registry")
    .argument("[as]", "what the site calls it (default: the same)")
    .option(
      "--creds-file <file>",
      "NAME:PASSWORD for the registry, or a file of docker login or podman login; - reads it",
    )
    .option("--all", "for all kinds of machines, and not only those of the cluster")
    .action(async (from: string, as: string | undefined, flags: CopyFlags) => {
      const name = from.startsWith(TRANSPORT) ? from.slice(TRANSPORT.length) : from;
      const parsed = parseImageReference(name);
      if (!parsed.ok) throw usageError(parsed.problem);
      const { credsFile } = flags;
      const repository = repositoryOf(parsed.value);
      const login = credsFile && (await readLogin(context.io, credsFile, repository));
      const client = await connect(context, flags);
      const copied = await client.copyImage({
        from: name,
        ...(as === undefined ? {} : { as }),
        ...(login ? { login } : {}),
        ...(flags.all === true ? { all: true } : {}),
      });
      await showLoaded(context.io, copied, flags);
    });
}
