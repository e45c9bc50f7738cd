import { Option, type Command } from "commander";
import { plural } from "../../lib/text.ts";
import { newCommand, pathFrom, printJson, type Context } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { PASSPHRASE_VARIABLE, readBackupPassphrase } from "../backup-passphrase.ts";
import { DATA_DIR_DEFAULT } from "../socket-path.ts";

interface RestoreFlags {
  dataDir: string;
  passphraseFile?: string;
  replace?: boolean;
  json?: boolean;
}

export function restoreCommand(context: Context): Command {
  const { io } = context;
  return newCommand({
    name: "restore",
    description:
      "Puts a cluster back from a backup, on this machine and while no server runs here. Nodes " +
      "find their server again by themselves, and what they run goes on.",
    examples: [
      "orchd restore cluster.tar",
      "orchd restore cluster.tar --data-dir /srv/orchd --passphrase-file secret.txt",
    ],
  })
    .argument("<file>", "what `orchd backup` saved")
    .addOption(
      new Option("--data-dir <dir>", "where the server's state is to be").default(
        io.env["ORCHD_DATA_DIR"] || DATA_DIR_DEFAULT,
      ),
    )
    .option(
      "--passphrase-file <file>",
      `opens a sealed backup with the first line of the file (or with ${PASSPHRASE_VARIABLE})`,
    )
    .option("--replace", "also where a cluster is: its files are moved aside")
    .option("--json", "print JSON")
    .action(async (file: string, flags: RestoreFlags) => {
      const dataDir = pathFrom(io, flags.dataDir);
      const restored = await context.program.restoreCluster({
        file: pathFrom(io, file),
        dataDir,
        passphrase: readBackupPassphrase(io, flags.passphraseFile),
        replace: flags.replace === true,
      });
      if (flags.json === true) return printJson(io, { dataDir, ...restored });
      const { createdAt, nodes, services, movedTo } = restored;
      const holds = `${plural(nodes, "node")} and ${plural(services, "service")}`;
      const lines = [
        `The cluster of ${new Date(createdAt).toISOString()} is in ${dataDir}: ${holds}.`,
        ...(movedTo === undefined ? [] : [`What was there before is in ${movedTo}.`]),
        "Start it with `orchd server`. What volumes of the server's own machine held is not in a",
        "backup: put it back with `orchd volume restore`.",
      ];
      await io.stderr.write(`${lines.map(cleanText).join("\n")}\n`);
    });
}
