import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { $ } from "zx";
import { bun, root, sayStep } from "./project.ts";

/*
 * `npm run dev`: a server from the sources with the runtime in memory and a seeded stack, for
 * trying things without root. It starts again when a source changes; its data goes when it ends.
 */
const SEED = `name: shop
services:
  web:
    image: example/web:1
    deploy: {replicas: 3}
  worker:
    image: example/worker:1
  log-shipper:
    image: example/log-shipper:1
    deploy: {mode: global}
`;
const READY_TIMEOUT_MS = 15_000;
const dir = mkdtempSync(join(tmpdir(), "orchd-dev-"));
const main = join(root, "src", "main.ts");
const words = ["--watch", "--no-clear-screen", main, "server", "--data-dir", dir];
const flags = ["--runtime", "fake", "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1"];
const server = spawn(bun, [...words, ...flags], { cwd: root, stdio: "inherit" });
const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
const orchd = $({ cwd: root, nothrow: true, env: { ...process.env, ORCHD_DATA_DIR: dir } });
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => server.kill());

try {
  await waitUntilReady();
  const seed = join(dir, "compose.yaml");
  writeFileSync(seed, SEED);
  await orchd({ stdio: "inherit" })`${bun} ${main} up -f ${seed}`;
  await orchd({ stdio: "inherit" })`${bun} ${main} ps`;
  sayStep("Try, in another terminal");
  console.log(`  export ORCHD_DATA_DIR=${dir}`);
  console.log("  alias orchd='node_modules/.bin/bun src/main.ts'");
  console.log("  orchd scale web=5");
  await ended;
} finally {
  server.kill();
  await ended;
  rmSync(dir, { recursive: true, force: true });
}

async function waitUntilReady(): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (!(await orchd`${bun} ${main} nodes --json`.quiet()).stdout.includes('"health":"ready"')) {
    if (server.exitCode !== null) throw new Error("the server ended: its log above says why");
    if (Date.now() > deadline) throw new Error("the server is not ready: see its log above");
    await pause(100);
  }
}
