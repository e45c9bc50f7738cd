import { Database } from "bun:sqlite";
import { join } from "node:path";

/**
 * An executable that says that it is orchd, and is broken as a server and as an agent. How it is
 * broken tells its version: `9.0.0-exits`, `9.0.0-hangs` or `9.0.0-migrates`.
 */
declare const ORCHD_BUILD: string;

const DATA_DIR = "/var/lib/orchd";
const version = /version=([^;]+);/.exec(ORCHD_BUILD)?.[1] ?? "";

if (process.argv.includes("version")) {
  process.stdout.write(`${JSON.stringify({ version })}\n`);
} else if (version.endsWith("hangs")) {
  process.on("SIGTERM", () => {});
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
} else {
  if (version.endsWith("migrates")) migrate();
  process.exitCode = 3;
}

/** Changes the shape of the server's state as a later version may, and spoils what is in it. */
function migrate(): void {
  const client = new Database(join(DATA_DIR, "server.db"));
  client.run("ALTER TABLE node ADD COLUMN colour text");
  client.run("DELETE FROM service");
  client.run("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('x', 9999999999999)");
  client.close();
}
