import { put, type Change } from "../../src/model/change.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { aStack } from "../builders.ts";

// Commits for ever, several at once, and prints the name of each object once its commit was
// acknowledged; an object's twin is of the same commit. To be killed: `bun store-writer.ts FILE
// PREFIX`.
const [path = "", prefix = ""] = process.argv.slice(2);
const store = await openSqliteStore(path);
for (let round = 0; ; round++) {
  const names = ["a", "b", "c"].map((letter) => `${prefix}-${round}-${letter}`);
  await Promise.all(names.map((name) => store.commit(twins(name))));
  process.stdout.write(`${names.join("\n")}\n`);
}

function twins(name: string): Change[] {
  return [put.stack(aStack(name)), put.stack(aStack(`${name}-twin`))];
}
