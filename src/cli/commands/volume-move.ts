import type { Command } from "commander";
import { formatBytes } from "../../lib/text.ts";
import type { MoveProgress } from "../../model/volume.ts";
import { connect, newRemoteCommand, printJson } from "../context.ts";
import { usageError, type Context, type RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { LiveLines } from "../output/live.ts";

export function moveVolumeCommand(context: Context): Command {
  return newRemoteCommand({
    name: "move",
    description:
      "Moves volumes to another node, with the tasks that use them: they are stopped, the files " +
      "copied and checked, and the tasks started there. What is on the first node goes only when " +
      "they serve on the other; whatever fails before leaves everything where it was.",
    examples: ["orchd volume move shop_data h2", "orchd volume move shop_data shop_index h2"],
  })
    .name("move")
    .argument("<words...>", "volumes, and last the node")
    .action((words: string[], options: RemoteOptions) => move(context, words, options));
}

async function move(context: Context, words: string[], options: RemoteOptions): Promise<void> {
  const { io } = context;
  const volumes = words.slice(0, -1);
  const node = words.at(-1);
  if (volumes.length === 0 || node === undefined) {
    throw usageError("name a volume and the node that it is to be on");
  }
  const client = await connect(context, options);
  const live = io.stderr.isTerminal && options.json !== true ? new LiveLines(io.stderr) : undefined;
  const stop = new AbortController();
  const end = io.onInterrupt(() => stop.abort());
  let last: MoveProgress | undefined;
  try {
    for await (const progress of client.moveVolumes(volumes, node, stop.signal)) {
      last = progress;
      if (options.json === true) await printJson(io, progress);
      else await live?.draw([cleanText(formatProgress(progress))]);
    }
  } finally {
    end();
    await live?.draw([]);
    await live?.end();
  }
  if (stop.signal.aborted) {
    context.exitCode = 130;
    await io.stderr.write("The server goes on with the move: `orchd events` tells how it ends.\n");
    return;
  }
  if (options.json === true) return;
  const what = `${volumes.join(", ")} ${volumes.length === 1 ? "is" : "are"} on ${node}`;
  if (last?.step === "done") await io.stderr.write(`${cleanText(what)}, and in use there\n`);
  else {
    context.exitCode = 1;
    const why = "but what uses it does not serve yet: `orchd explain` tells why";
    await io.stderr.write(`${cleanText(what)}, ${why}\n`);
  }
}

function formatProgress({ step, volume = "", bytes = 0 }: MoveProgress): string {
  switch (step) {
    case "stopping":
      return `stopping what uses ${volume}`;
    case "copying":
      return `copying ${volume}: ${formatBytes(bytes)}`;
    case "starting":
      return "starting there";
    case "done":
      return "done";
  }
}
