import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { newId } from "../../src/lib/ids.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { ContainerdRuntime } from "../../src/runtime/containerd/containerd-runtime.ts";
import { ContainerdGrpc } from "../../src/runtime/containerd/grpc.ts";
import { ImageStore } from "../../src/runtime/containerd/image-store.ts";
import { aContainer, anAssignment } from "../../tests/builders.ts";
import { takeArchive } from "../../tests/conformance/runtime-take.ts";
import { HELLO_IMAGE, writeHelloImage } from "../image.ts";
import type { ContainerdStarts, ContainerdUploads } from "./containerd.ts";
import { timed } from "./work.ts";

/*
 * Run by Bun, like orchd itself, with a containerd of its own. `containerd-start.ts start PAIRS`
 * prints `ContainerdStarts`, `containerd-start.ts upload TIMES` prints `ContainerdUploads`.
 */
const AT_ONCE = 20;
const COMMAND = ["sleep", "1000000"];
const LAYER_BYTES = 40_000_000;
const PIECE_BYTES = 1024 * 1024;
/** Fifty times as long as it is to take. */
const STALL_MS = 50_000;

const [role, times] = [process.argv[2], Number(process.argv[3])];
const dir = mkdtempSync("/var/lib/orchd-bench-");
const socket = join(dir, "run", "containerd.sock");
const runtime = await ContainerdRuntime.open({
  nodeId: newId<"node">(systemRandom),
  runDir: join(dir, "run"),
  dataDir: join(dir, "data"),
  clock: systemClock,
  // The machine's own one is left alone.
  systemSocket: join(dir, "nobody.sock"),
});
try {
  console.log(JSON.stringify(role === "start" ? await starts(times) : await uploads(times)));
} finally {
  await runtime.close();
  rmSync(dir, { recursive: true });
}

async function starts(pairs: number): Promise<ContainerdStarts> {
  const archive = join(dir, "hello.tar");
  writeHelloImage(archive);
  await takeArchive(runtime, archive);
  await ctr("image", "import", archive);
  // The first containers of a containerd read programs from the disk.
  await startOurs(1);
  await startTheirs(1);
  const found: ContainerdStarts = { one: { ours: [], theirs: [] }, many: { ours: [], theirs: [] } };
  for (let pair = 0; pair < pairs; pair++) {
    for (const [samples, count] of [[found.one, 1] as const, [found.many, AT_ONCE] as const]) {
      samples.ours.push(await startOurs(count));
      samples.theirs.push(await startTheirs(count));
    }
  }
  return found;
}

/** Milliseconds until so many containers, all made at once, run. */
async function startOurs(count: number): Promise<number> {
  const spec = { image: HELLO_IMAGE, command: COMMAND, networkMode: "none" } as const;
  const container = aContainer(spec);
  const assignments = Array.from({ length: count }, () =>
    anAssignment("", { taskId: newId<"task">(systemRandom), container }),
  );
  const ms = await timed(() =>
    Promise.all(
      assignments.map(async (assignment) => {
        await runtime.create({ assignment });
        await runtime.start(assignment.taskId);
      }),
    ),
  );
  for (const { taskId } of assignments) await runtime.remove(taskId);
  return ms;
}

async function startTheirs(count: number): Promise<number> {
  const names = Array.from({ length: count }, (_, i) => `bench${i}`);
  const ms = await timed(() =>
    Promise.all(names.map((name) => ctr("run", "--detach", HELLO_IMAGE, name, ...COMMAND))),
  );
  for (const name of names) {
    await ctr("task", "rm", "--force", name);
    await ctr("container", "rm", name);
  }
  return ms;
}

/** containerd's own command line, in a namespace of its own. */
async function ctr(...words: string[]): Promise<void> {
  const child = Bun.spawn(["ctr", "--address", socket, "--namespace", "bench", ...words], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [code, error] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  if (code !== 0) throw new Error(`ctr ${words.join(" ")}: ${error}`);
}

/** Layers of bytes that nothing makes smaller, each another one. */
async function uploads(count: number): Promise<ContainerdUploads> {
  const images = new ImageStore(new ContainerdGrpc(socket));
  const layer = crypto.getRandomValues(new Uint8Array(PIECE_BYTES));
  const found: ContainerdUploads = { bytes: LAYER_BYTES, ms: [], stalled: 0 };
  for (let i = 0; i < count; i++) {
    new DataView(layer.buffer).setUint32(0, i);
    let isDone = false;
    const upload = images
      .withLease((lease) => images.content.write(piecesOf(layer), { lease }))
      .then(() => {
        isDone = true;
      });
    found.ms.push(await timed(() => Promise.race([upload, Bun.sleep(STALL_MS)])));
    if (isDone) continue;
    found.stalled += 1;
    break;
  }
  return found;
}

async function* piecesOf(piece: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let left = LAYER_BYTES; left > 0; left -= piece.length) yield piece.subarray(0, left);
}
