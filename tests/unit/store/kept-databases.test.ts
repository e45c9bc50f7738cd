import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAgentState } from "../../../src/store/agent-state/agent-state.ts";
import { KeptDatabases } from "../../../src/store/kept-databases.ts";

let dataDir: string;
let kept: KeptDatabases;
const path = () => join(dataDir, "agent.db");
beforeEach(() => {
  dataDir = fs.mkdtempSync(join(tmpdir(), "orchd-kept-"));
  kept = new KeptDatabases(dataDir, join(dataDir, "bin", "before"));
  change((state) => state.saveClockFloor(1));
});
afterEach(() => fs.rmSync(dataDir, { recursive: true }));

type State = ReturnType<typeof openAgentState>;

function change<T>(run: (state: State) => T): T {
  const state = openAgentState(path());
  try {
    return run(state);
  } finally {
    state.close();
  }
}

const floor = () => change((state) => state.loadClockFloor());

/** What a version that is still to come does to the file. */
function migrateFurther(): void {
  const client = new Database(path());
  client.run("ALTER TABLE identity ADD COLUMN colour text");
  client.run("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('x', 9999999999999)");
  client.close();
}

test("a database that a newer version changed is put back, and opens", () => {
  kept.keep();
  change((state) => state.saveClockFloor(2));
  migrateFurther();
  expect(floor).toThrow("newer orchd");
  kept.putBackOlder();
  expect(floor()).toBe(1);
});

test("what happened meanwhile stays where the shape is as it was", () => {
  kept.keep();
  change((state) => state.saveClockFloor(2));
  kept.putBackOlder();
  expect(floor()).toBe(2);
});

test("a database that can't be read any more is put back too", () => {
  kept.keep();
  fs.writeFileSync(path(), "no database");
  kept.putBackOlder();
  expect(floor()).toBe(1);
});

test("a database that there was not before is left alone, and no copies stay", () => {
  fs.rmSync(path());
  kept.keep();
  change((state) => state.saveClockFloor(3));
  kept.putBackOlder();
  kept.forget();
  expect(floor()).toBe(3);
  expect(fs.readdirSync(join(dataDir, "bin"))).toEqual([]);
});
