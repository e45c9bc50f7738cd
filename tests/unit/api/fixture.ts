import { createApi } from "../../../src/api/api.ts";
import type { ApiDeps } from "../../../src/api/deps.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import { type Change, put } from "../../../src/model/change.ts";
import type { NodeId, TaskId } from "../../../src/model/ids.ts";
import type { UpgradeOrder } from "../../../src/model/upgrade.ts";
import type { NodeUsage } from "../../../src/model/usage.ts";
import type { ContentRef } from "../../../src/model/item.ts";
import type { JoinAnswer } from "../../../src/model/join.ts";
import type {
  AgentSession,
  ByteStream,
  ExecOptions,
  ExecSession,
  LogLine,
  LogOptions,
} from "../../../src/model/session.ts";
import type { Explanation } from "../../../src/model/summary.ts";
import { type NewToken, tokenSummaryOf } from "../../../src/model/token.ts";
import { MemoryView } from "../../../src/model/view.ts";
import type { Commit, CommitResult, Store } from "../../../src/store/store.ts";
import { aToken, anId, type World } from "../../builders.ts";
import { NO_VOLUMES } from "../../volumes.ts";

/** A store that is durable for as long as the test lasts. */
export class MemoryStore implements Store {
  readonly #view = new MemoryView();
  readonly #watchers = new Set<(commit: Commit) => void>();

  view(): MemoryView {
    return this.#view;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  async commit(changes: readonly Change[]): Promise<CommitResult> {
    const conflict = this.#view.conflictIn(changes);
    if (conflict !== undefined) return { ok: false, conflict };
    const version = this.#view.version + 1;
    const applied = this.#view.apply(changes, version);
    for (const watcher of this.#watchers) watcher({ version, applied });
    return { ok: true, version };
  }

  watch(onCommit: (commit: Commit) => void): () => void {
    this.#watchers.add(onCommit);
    return () => void this.#watchers.delete(onCommit);
  }

  async close(): Promise<void> {}
}

/** Time that passes only when it is told to. */
export class TestClock implements Clock {
  #now = 1000;
  readonly #timers = new Set<{ at: number; run: () => void }>();

  now(): number {
    return this.#now;
  }

  monotonicNow(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): { cancel(): void } {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  get waiting(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const timer of this.#timers) {
      if (timer.at > this.#now) continue;
      this.#timers.delete(timer);
      timer.run();
    }
  }
}

/** An agent whose answers are laid down beforehand. */
export class FakeAgent implements AgentSession {
  readonly nodeId: NodeId;
  /** By task id; `undefined` lines stand for a failure. */
  readonly lines = new Map<string, LogLine[]>();
  readonly asked: LogOptions[] = [];
  /** How many loads have begun. */
  failure: Error | undefined;
  /** What the next exec answers. */
  session: ExecSession | undefined;
  readonly executed: ExecOptions[] = [];
  /** What the next forward answers. */
  connection: ByteStream | undefined;
  readonly forwarded: number[] = [];

  readonly volumes = NO_VOLUMES;

  async pruneImages(): Promise<never[]> {
    return [];
  }

  generation(): undefined {}

  async held(): Promise<never[]> {
    return [];
  }

  successors(): never[] {
    return [];
  }

  constructor(node: string) {
    this.nodeId = anId(node);
  }

  assign(): void {}

  network(): void {}

  async *logs(taskId: string, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine> {
    this.asked.push(options);
    if (this.failure !== undefined) throw this.failure;
    yield* this.lines.get(taskId) ?? [];
    if (options.follow) await aborted(signal);
  }

  async exec(_taskId: string, options: ExecOptions): Promise<ExecSession> {
    this.executed.push(options);
    if (this.failure !== undefined) throw this.failure;
    if (this.session === undefined) throw new Error("the test laid down no session");
    return this.session;
  }

  async images() {
    return [{ id: "sha256:1", references: ["localhost/web:1"], sizeBytes: 1, createdAt: 0 }];
  }

  async fetchImages(references: readonly string[]): Promise<string[]> {
    if (this.failure !== undefined) throw this.failure;
    return [...references];
  }

  async removeVolumes(): Promise<void> {}

  readonly orders: UpgradeOrder[] = [];

  async upgrade(order: UpgradeOrder): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.orders.push(order);
  }

  async usage(_tasks: readonly TaskId[]): Promise<NodeUsage> {
    return { at: 0, tasks: [], connections: {} };
  }

  /** What the server brought, by the number of its version. */
  readonly contents = new Map<number, Uint8Array | undefined>();

  async lackedContents(refs: readonly ContentRef[]): Promise<ContentRef[]> {
    return refs.filter(({ number }) => !this.contents.has(number));
  }

  async takeContent({ number }: ContentRef, bytes: Uint8Array | undefined): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.contents.set(number, bytes);
  }

  async forward(_taskId: string, port: number): Promise<ByteStream> {
    this.forwarded.push(port);
    if (this.failure !== undefined) throw this.failure;
    if (this.connection === undefined) throw new Error("the test laid down no connection");
    return this.connection;
  }

  close(): void {}
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

const EXPLANATION: Explanation = {
  kind: "task",
  id: "",
  name: "",
  summary: "It runs.",
  facts: [],
  placement: [],
  history: [],
  next: "",
};

const JOINED: JoinAnswer = {
  nodeId: anId("n9"),
  name: "n9",
  certificate: "PEM",
  caCertificate: "PEM",
  gossipKeys: ["a".repeat(43) + "="],
  servers: ["192.0.2.1:6770"],
};

const NEW_TOKEN: NewToken = {
  token: tokenSummaryOf(aToken("t1"), 0),
  text: "ORCHD-1-text",
  servers: ["192.0.2.1:6770"],
};

const KEY = { fingerprint: "0".repeat(12), primary: true };

/** Everything that the server was asked to do, in order. */
export type Call = [name: string, ...args: unknown[]];

function gossipKeysOf(calls: Call[]): ApiDeps["gossipKeys"] {
  return {
    list: (show) => {
      calls.push(["gossipKeys.list", show]);
      return [KEY];
    },
    install: async (key) => {
      calls.push(["gossipKeys.install", key]);
      return KEY;
    },
    use: async (fingerprint) => void calls.push(["gossipKeys.use", fingerprint]),
    remove: async (fingerprint) => void calls.push(["gossipKeys.remove", fingerprint]),
  };
}

function clusterBackupOf(calls: Call[]): ApiDeps["clusterBackup"] {
  return {
    make: async (passphrase) => {
      calls.push(["clusterBackup.make", passphrase]);
      return new Response("backup").body ?? new ReadableStream();
    },
    status: () => ({ last: { at: 1000, bytes: 6 } }),
  };
}

/** A vault that is locked and takes everything that is asked of it. */
function secretsOf(calls: Call[]): ApiDeps["secrets"] {
  return {
    upload: (bytes) => {
      calls.push(["secrets.upload", bytes.length]);
      return anId("upload");
    },
    create: async (...args) => void calls.push(["secrets.create", ...args]),
    update: async (...args) => {
      calls.push(["secrets.update", ...args]);
      return { changed: true, services: ["shop/web"] };
    },
    remove: async (...args) => void calls.push(["secrets.remove", ...args]),
    configContent: (...args) => {
      calls.push(["secrets.configContent", ...args]);
      return new TextEncoder().encode("listen 80");
    },
    status: () => ({ state: "locked", reason: "why", protectedBy: "passphrase", keyAt: 0 }),
    unlock: async (passphrase) => void calls.push(["secrets.unlock", passphrase]),
    rotateKey: async () => void calls.push(["secrets.rotateKey"]),
    protect: async (passphrase) => void calls.push(["secrets.protect", passphrase]),
    reset: async () => void calls.push(["secrets.reset"]),
  };
}

/** The API over `world`, without a port. */
export async function anApi(world: World = {}, agents: FakeAgent[] = []) {
  const store = new MemoryStore();
  const clock = new TestClock();
  const calls: Call[] = [];
  const logged: string[] = [];
  const log = (line: string) => void logged.push(line);
  const deps: ApiDeps = {
    store,
    clock,
    version: { version: "1.2.3", commit: "abc", api: "v1" },
    log: { info: log, warn: log, error: log },
    async applyStack(...args) {
      calls.push(["applyStack", ...args]);
      return { stack: args[0], plan: [], orphans: [] };
    },
    async removeStack(...args) {
      calls.push(["removeStack", ...args]);
    },
    async scale(services) {
      calls.push(["scale", Object.fromEntries(services)]);
    },
    restart: async (id) => void calls.push(["restart", id]),
    async orderRollout(...args) {
      calls.push(["orderRollout", ...args]);
    },
    async undoStack(...args) {
      calls.push(["undoStack", ...args]);
      return { stack: args[0], plan: [], orphans: [] };
    },
    runJob: async (id) => calls.push(["runJob", id]),
    async join(request) {
      calls.push(["join", request]);
      return JOINED;
    },
    async createToken(request) {
      calls.push(["createToken", request]);
      return NEW_TOKEN;
    },
    async rotateToken(id) {
      calls.push(["rotateToken", id]);
      return NEW_TOKEN;
    },
    async revokeToken(id) {
      calls.push(["revokeToken", id]);
    },
    gossipKeys: gossipKeysOf(calls),
    onHappening: () => {},
    moveVolumes: async (move) => void calls.push(["moveVolumes", move]),
    clusterBackup: clusterBackupOf(calls),
    secrets: secretsOf(calls),
    images: imagesOf(calls),
    bundles: bundlesOf(calls),
    upgrades: upgradesOf(calls),
    async setAvailability(...args) {
      calls.push(["setAvailability", ...args]);
    },
    setLabels: async (...args) => void calls.push(["setLabels", ...args]),
    setLink: async (...args) => void calls.push(["setLink", ...args]),
    removeNode: async (...args) => void calls.push(["removeNode", ...args]),
    healthReason: () => "its session is connected",
    explain(target) {
      calls.push(["explain", target.kind]);
      return EXPLANATION;
    },
    session: (node) => agents.find((agent) => agent.nodeId === node),
    sessions: () => agents,
  };
  await store.commit(changesFor(world));
  return { app: createApi(deps), store, clock, calls, logged, deps };
}

export const EXECUTABLE = {
  version: "2.0.0",
  platform: "linux/amd64",
  digest: `sha256:${"2".repeat(64)}`,
  sizeBytes: 7,
};

function upgradesOf(calls: unknown[][]): ApiDeps["upgrades"] {
  return {
    executables: async () => [EXECUTABLE],
    receive: async (source) => {
      calls.push(["upgrades.receive", await textOf(source)]);
      return EXECUTABLE;
    },
    begin: async (request) => void calls.push(["upgrades.begin", request]),
    cancel: async () => void calls.push(["upgrades.cancel"]),
    isConnected: (id) => id !== "n2",
    versionOfLoneServer: () => undefined,
  };
}

/** The images that the site keeps, in the words of the calls. */
function imagesOf(calls: unknown[][]): ApiDeps["images"] {
  return {
    async load(archive) {
      calls.push(["loading"]);
      const pieces: Uint8Array[] = [];
      for await (const piece of archive) pieces.push(piece);
      calls.push(["load", Buffer.concat(pieces).toString()]);
      return { references: ["localhost/web:1"], nodes: [] };
    },
    async copy(copy) {
      calls.push(["copy", copy]);
      return { references: [copy.as ?? copy.from], nodes: [] };
    },
    async fetch(references, labels) {
      calls.push(["fetch", ...references, labels]);
      return { references: [...references], nodes: [] };
    },
    list: async () => [],
    async save(references) {
      calls.push(["save", ...references]);
      return new Blob(["an archive"]).stream();
    },
    async remove(reference, options) {
      calls.push(["remove", reference, options]);
      return { freedBytes: 7 };
    },
    prune: async () => ({ freedBytes: 7 }),
    answer: async (request) => new Response(`${request.method} ${new URL(request.url).pathname}`),
  };
}

/** What bundles need, in the words of the calls. */
async function textOf(source: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

function bundlesOf(calls: unknown[][]): ApiDeps["bundles"] {
  return {
    keys: () => ({ sealing: "a line", signing: "a key" }),
    async parts(request) {
      calls.push(["parts", request]);
      return { stacks: [], items: [], images: [], blobs: [], assumes: [], docker: [] };
    },
    sign(text) {
      calls.push(["sign", text]);
      return { publicKey: "a key", signature: "AA==" };
    },
    blobs: async () => [],
    async blob(digest) {
      calls.push(["blob", digest]);
      return new Blob(["a blob"]).stream();
    },
    async apply(bundle, options) {
      calls.push(["applyBundle", await textOf(bundle), options]);
      return { changed: false, images: [], nodes: [], items: [], stacks: [], executables: [] };
    },
  };
}

function changesFor({
  cluster,
  tokens = [],
  nodes = [],
  stacks = [],
  services = [],
  tasks = [],
}: World): Change[] {
  return [
    ...(cluster === undefined ? [] : [put.cluster(cluster)]),
    ...tokens.map(put.token),
    ...nodes.map(put.node),
    ...stacks.map(put.stack),
    ...services.map(put.service),
    ...tasks.map(put.task),
  ];
}

/** A JSON body with its type. */
export function json(method: "PUT" | "POST", body: unknown): RequestInit {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { method, body: text, headers: { "content-type": "application/json" } };
}

export interface Refusal {
  error: { code: string; message: string; details: string[] };
}

/** The values of an NDJSON answer; an empty line is `undefined`. Ends with the stream. */
export class LineReader {
  readonly #reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "read" | "cancel">;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(response: Response) {
    if (response.body === null) throw new Error("the answer has no body");
    this.#reader = response.body.getReader();
  }

  /** The next line's value; `"end"` after the last. */
  async next(): Promise<unknown> {
    while (!this.#text.includes("\n")) {
      const { done, value } = await this.#reader.read();
      if (done) return "end";
      this.#text += this.#decoder.decode(value, { stream: true });
    }
    const end = this.#text.indexOf("\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return line === "" ? undefined : JSON.parse(line);
  }

  async rest(): Promise<unknown[]> {
    const values: unknown[] = [];
    for (let value = await this.next(); value !== "end"; value = await this.next()) {
      values.push(value);
    }
    return values;
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

/** Waits until `isSo`; fails after ten seconds, before the test itself does. */
export async function until(isSo: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !isSo();) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${isSo.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
