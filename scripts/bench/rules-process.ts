import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeRules } from "../../src/core/network/node-rules.ts";
import { formatChange, formatWhole, type RuleTable } from "../../src/core/network/rule-table.ts";
import { manyServices } from "./many-services.ts";

/*
 * `bun rules-process.ts DIRECTORY SERVICES TASKS` writes scripts for `nft`: `alone`, the table of a
 * node in a cluster with one service, `whole` with so many, and `more` and `less`, which take a
 * further task of one of those in and out again.
 */
const [directory = "", services = "0", tasks = "0"] = process.argv.slice(2);
write("alone", formatWhole(tableOf(1, 0)));
const [few, many] = [tableOf(Number(services), 0), tableOf(Number(services), 1)];
write("whole", formatWhole(few));
write("more", formatChange(few, many));
write("less", formatChange(many, few));

function write(name: string, script: string): void {
  writeFileSync(join(directory, `${name}.nft`), script);
}

function tableOf(count: number, spare: number): RuleTable {
  const state = { isFiltered: true, isTight: false };
  const options = { bridge: "orchd0", isHeld: () => true, ...state };
  const { map, own } = manyServices(count, Number(tasks), spare);
  const table = nodeRules(map, own, options);
  if (table === undefined) throw new Error("the map has the node");
  return table;
}
