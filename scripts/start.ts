import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { $, chalk } from "zx";
import { buildForThisMachine } from "./build.ts";
import { HELLO_IMAGE, writeHelloImage } from "./image.ts";
import { prepareMachine } from "./machine.ts";
import { dist, orchd, root, sayStep } from "./project.ts";
import { orchdQuietly, serverAnswers, ServerProcess } from "./server-process.ts";

/*
 * `npm start`: from a clean machine to a running stack. With `--once` it stops the server after it
 * has seen the stack answer; `--runtime containerd` runs the containers without Podman.
 */
const ADDRESS = "http://127.0.0.1:8080/";
const ANSWER_TIMEOUT_MS = 10_000;
const LOAD_TIMEOUT_MS = 10_000;
const once = process.argv.includes("--once");
const runtime = process.argv.join(" ").includes("--runtime containerd") ? "containerd" : "podman";
const abort = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => abort.abort());
}

process.exitCode = await main();

async function main(): Promise<number> {
  sayStep("This machine");
  const problem = await prepareMachine([], runtime);
  if (problem !== undefined) {
    console.error(problem);
    return 1;
  }
  console.log("Everything that orchd needs is here.");
  sayStep("The executable");
  console.log(`dist/orchd: ${await buildForThisMachine()}`);
  sayStep("The server");
  let server: ServerProcess | undefined;
  try {
    if (await serverAnswers()) console.log("One is running already; using it.");
    else server = await ServerProcess.start(["--runtime", runtime]);
    await deploy(server);
    sayWhatNext(server !== undefined);
    if (server !== undefined && !once) await Promise.race([untilAborted(), server.ended()]);
  } catch (error) {
    if (abort.signal.aborted) return 0;
    console.error(chalk.red(`npm start did not get through: ${messageOf(error)}`));
    return 1;
  } finally {
    if (server !== undefined) await stop(server);
  }
  return 0;
}

async function deploy(server: ServerProcess | undefined): Promise<void> {
  sayStep("An image, made here, without any registry");
  const archive = join(dist, "hello.tar");
  writeHelloImage(archive, HELLO_IMAGE);
  await loadImage(archive);
  sayStep("The stack");
  const up = async () => show("up", "-f", "compose/hello/compose.yaml");
  await (server === undefined ? up() : server.quietlyWhile(up));
  sayStep("orchd ps");
  await show("ps", "hello");
  sayStep("An answer");
  console.log(`${ADDRESS} says: ${await readAnswer()}`);
}

/** Runs an orchd command on this terminal. */
async function show(...words: string[]): Promise<void> {
  const { exitCode } = await $({ cwd: root, stdio: "inherit", nothrow: true })`${orchd} ${words}`;
  if (exitCode !== 0) throw new Error(`orchd ${words.join(" ")} ended with ${exitCode}`);
}

/** A server that has just started again knows its node before the node's agent has called. */
async function loadImage(archive: string): Promise<void> {
  const deadline = Date.now() + LOAD_TIMEOUT_MS;
  for (;;) {
    const { exitCode, stdout, stderr } = await orchdQuietly`${orchd} image load ${archive}`;
    if (exitCode === 0) {
      console.log(stdout.trim());
      return;
    }
    if (Date.now() > deadline) throw new Error(stderr.trim());
    await pause(100);
  }
}

/** Asks until there is an answer: the rules for a published port follow the tasks by a moment. */
async function readAnswer(): Promise<string> {
  const deadline = Date.now() + ANSWER_TIMEOUT_MS;
  for (;;) {
    try {
      const response = await fetch(ADDRESS, { signal: AbortSignal.timeout(1_000) });
      if (response.ok) return (await response.text()).trim();
      throw new Error(`status ${response.status}`);
    } catch (error) {
      // Refused connections are expected at first; what remains at the deadline is told.
      if (Date.now() > deadline) {
        throw new Error(`nothing answers at ${ADDRESS}`, { cause: error });
      }
      await pause(100);
    }
  }
}

function sayWhatNext(ours: boolean): void {
  sayStep("Try next, in another terminal");
  console.log("  dist/orchd scale web-app=4");
  console.log("  dist/orchd logs --follow web-app");
  console.log("  dist/orchd explain web-app");
  console.log("\nTo remove everything again: npm run clean");
  if (ours && !once) console.log("Ctrl-C stops the server; the containers keep running.");
}

async function untilAborted(): Promise<void> {
  if (abort.signal.aborted) return;
  await new Promise<void>((resolve) => {
    abort.signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function stop(server: ServerProcess): Promise<void> {
  sayStep("Stopping the server");
  await server.stop();
  console.log("The server has stopped; the containers keep running.");
  console.log("`npm start` takes them over again, `npm run clean` removes everything.");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
