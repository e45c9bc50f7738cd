import { Database } from "bun:sqlite";

/*
 * The floor under an accepted change: one row a transaction into a file of its own, with the same
 * journal and fsync as the store. Run by Bun: sqlite-loop.ts FILE ROWS. Prints rows a second.
 */
const [path = "", rows = "0"] = process.argv.slice(2);
const db = new Database(path);
db.run("PRAGMA journal_mode = WAL");
db.run("PRAGMA synchronous = FULL");
db.run("CREATE TABLE t (id INTEGER PRIMARY KEY, value TEXT)");
const insert = db.query("INSERT INTO t (value) VALUES (?)");
const value = "x".repeat(1_000);
const count = Number(rows);
const start = performance.now();
for (let i = 0; i < count; i++) insert.run(value);
console.log((count * 1000) / (performance.now() - start));
db.close();
