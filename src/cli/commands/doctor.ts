import { Option, type Command } from "commander";
import type { Diagnosis, Finding } from "../../model/diagnosis.ts";
import { SERVER_PORT } from "../../model/server-address.ts";
import { plural } from "../../lib/text.ts";
import {
  newCommand,
  parsePort,
  pathFrom,
  printJson,
  printLines,
  type Context,
} from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor, type Paint } from "../output/color.ts";
import {
  gossipPortOption,
  type IngressPortFlags,
  ingressPortOptions,
  ingressPortsFrom,
} from "../port-options.ts";
import { DATA_DIR_DEFAULT } from "../socket-path.ts";

interface DoctorFlags extends IngressPortFlags {
  dataDir: string;
  port: number;
  gossipPort: number;
  json?: boolean;
}

const COLORS = { fault: "red", advice: "yellow" } as const;

export function doctorCommand(context: Context): Command {
  const { io } = context;
  const command = newCommand({
    name: "doctor",
    description:
      "Looks at this machine for what stands in orchd's way: ports, firewalls, the kernel,\n" +
      "ranges of addresses, MTU, clock, memory and disks. Changes nothing, works with and\n" +
      "without a server, and fails when something is wrong. For root, on each node.",
    examples: ["orchd doctor", "orchd doctor --json"],
  })
    .addOption(
      new Option("--data-dir <dir>", "where orchd's state is").default(
        io.env["ORCHD_DATA_DIR"] || DATA_DIR_DEFAULT,
      ),
    )
    .addOption(
      new Option("--port <port>", "where servers are reached")
        .default(SERVER_PORT)
        .argParser(parsePort),
    )
    .addOption(gossipPortOption())
    .option("--json", "print JSON")
    .action(async (flags: DoctorFlags) => {
      const diagnosis = await context.program.examineMachine({
        dataDir: pathFrom(io, flags.dataDir),
        serverPort: flags.port,
        gossipPort: flags.gossipPort,
        ingress: ingressPortsFrom(flags),
      });
      const isIll = diagnosis.findings.some(({ level }) => level === "fault");
      context.exitCode = isIll ? 1 : 0;
      if (flags.json === true) return printJson(io, diagnosis);
      await printLines(io, formatDiagnosis(diagnosis, paintFor(io)));
    });
  for (const option of ingressPortOptions()) command.addOption(option);
  return command;
}

/** A line for each finding and each check that could not be made, and a line for the whole. */
export function formatDiagnosis(diagnosis: Diagnosis, paint: Paint): string[] {
  const { findings, checked, skipped } = diagnosis;
  const count = (level: Finding["level"]) => findings.filter((one) => one.level === level).length;
  const [faults, advice] = [count("fault"), count("advice")];
  const total = [plural(checked.length, "check"), plural(faults, "fault")];
  if (advice > 0) total.push(plural(advice, "advice", "pieces of advice"));
  if (skipped.length > 0) total.push(`${skipped.length} not made`);
  return [
    ...findings.map(({ level, what, why, remedy }) => {
      return `${paint(COLORS[level], level.padEnd(6))}  ${cleanText(`${what}: ${why}; ${remedy}`)}`;
    }),
    ...skipped.map(({ check, why }) => cleanText(`?       ${check} not checked: ${why}`)),
    total.join(", "),
  ];
}
