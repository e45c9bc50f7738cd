import { Database } from "bun:sqlite";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { scheduler } from "node:timers/promises";
import { ApiClient } from "../../src/api/client.ts";
import { OrchdError } from "../../src/lib/errors.ts";
import type { Random } from "../../src/lib/random.ts";
import { aContainer, aSpec } from "../builders.ts";
import { until } from "./runtime-until.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const START_TIMEOUT_MS = 20_000;
/** Longer than a commit takes, so that a kill comes at any moment of one. */
const KILL_WITHIN_MS = 30;
const WRITERS = 4;
const PADDING_MAX = 12_000;

/** Something that is written over and over, each time with a higher number. */
interface Register {
  name: string;
  write(client: ApiClient, value: number, padding: string): Promise<unknown>;
  /** Every number that is found of it: more than one where a change was half applied. */
  read(client: ApiClient): Promise<number[]>;
}

/** What is known of a register from the answers alone. */
interface Known {
  accepted: number;
  /** Sent, and never answered: it may be there or not. */
  unknown: number | undefined;
  next: number;
}

/** A server of its own process that writers keep busy, and that is killed. */
export class KilledServer {
  readonly #dir: string;
  readonly #random: Random;
  readonly #known = new Map<Register, Known>();
  #child: Bun.Subprocess | undefined;
  accepted = 0;
  refused = 0;

  constructor(dir: string, random: Random) {
    this.#dir = dir;
    this.#random = random;
    for (let i = 0; i < WRITERS; i++) {
      for (const register of [stackRegister(`s${i}`), configRegister(`c${i}`)]) {
        this.#known.set(register, { accepted: 0, unknown: undefined, next: 1 });
      }
    }
  }

  get #client(): ApiClient {
    return ApiClient.onSocket(join(this.#dir, "orchd.sock"));
  }

  /** Starts the server on what its last life left. */
  async start(): Promise<void> {
    const flags = ["--no-agent", "--listen", "none", "--data-dir", this.#dir];
    const child = Bun.spawn([process.execPath, MAIN, "server", ...flags], {
      stdout: "ignore",
      stderr: "pipe",
    });
    this.#child = child;
    const answers = () =>
      this.#client.version().then(
        () => true,
        () => false,
      );
    await until(
      "the server's answer",
      async () => {
        if (child.exitCode !== null) throw new Error(await new Response(child.stderr).text());
        return answers();
      },
      START_TIMEOUT_MS,
    );
  }

  /** Writes everything once, with nobody to disturb it. */
  async prepare(): Promise<void> {
    await this.start();
    for (const [register, known] of this.#known) {
      await this.#writeOnce(this.#client, register, known);
    }
  }

  /** All writers write at once while `act` acts, then the server is killed at whatever it does. */
  async writeWhile(act: () => Promise<void>): Promise<void> {
    const over = new AbortController();
    const client = this.#client;
    const writers = [...this.#known].map(async ([register, known]) => {
      while (!over.signal.aborted) await this.#writeOnce(client, register, known);
    });
    const writing = Promise.all(writers);
    try {
      await Promise.race([act(), writing]);
      await scheduler.wait(this.#random.next() * KILL_WITHIN_MS);
    } finally {
      over.abort();
      this.#child?.kill("SIGKILL");
      await this.#child?.exited;
    }
    await writing;
  }

  /** Waits until so many more changes were accepted. */
  async accepts(count: number): Promise<void> {
    const target = this.accepted + count;
    await until(`${count} accepted changes`, () => this.accepted >= target);
  }

  async #writeOnce(client: ApiClient, register: Register, known: Known): Promise<void> {
    const value = known.next++;
    known.unknown = value;
    const padding = "x".repeat(Math.floor(this.#random.next() * PADDING_MAX));
    try {
      await register.write(client, value, padding);
      known.accepted = value;
      known.unknown = undefined;
      this.accepted += 1;
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      if (error.code === "unreachable") return;
      if (error.code !== "noSpace") throw error;
      // Refused is refused: it must not turn up later.
      known.unknown = undefined;
      this.refused += 1;
    }
  }

  /** What SQLite says of the files as the kill left them; they stay as they are. */
  integrity(): string {
    const copy = fs.mkdtempSync(join(tmpdir(), "orchd-kills-copy-"));
    try {
      for (const name of ["server.db", "server.db-wal"]) {
        const path = join(this.#dir, name);
        if (fs.existsSync(path)) fs.copyFileSync(path, join(copy, name));
      }
      const database = new Database(join(copy, "server.db"));
      const rows = database.query("PRAGMA integrity_check").all();
      database.close();
      return JSON.stringify(rows);
    } finally {
      fs.rmSync(copy, { recursive: true });
    }
  }

  /** Starts it again; answers everything that is not as the answers to its writers said. */
  async check(): Promise<string[]> {
    await this.start();
    const wrong: string[] = [];
    for (const [register, known] of this.#known) {
      const found = await register.read(this.#client);
      const [value = 0, ...others] = new Set(found);
      const allowed = [known.accepted, known.unknown];
      if (others.length > 0 || !allowed.includes(value)) {
        wrong.push(`${register.name} has ${found.join(", ")}, not ${allowed.join(" or ")}`);
      }
      known.accepted = value;
      known.unknown = undefined;
    }
    return wrong;
  }

  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    await this.#child?.exited;
  }
}

/** A stack whose two services change together. */
function stackRegister(name: string): Register {
  return {
    name,
    write: (client, value, padding) => {
      const container = aContainer({ image: `app:${value}`, environment: { padding } });
      const app = aSpec({ replicas: 0, container });
      return client.apply(name, { services: { one: app, two: app }, volumes: [] });
    },
    read: async (client) => {
      const services = await client.services(name);
      return services.map(({ image }) => Number(image.split(":")[1]));
    },
  };
}

/** A config: an item and the sealed content that it names. */
function configRegister(name: string): Register {
  return {
    name,
    write: async (client, value, padding) => {
      const upload = await client.upload(Buffer.from(`${value} ${padding}`));
      if (value === 1)
        await client.createItem("config", { name, upload, labels: {}, isTemplate: false });
      else await client.updateItem("config", name, upload);
    },
    read: async (client) => {
      const content = await client.configContent(name);
      return [Number(Buffer.from(content).toString().split(" ")[0])];
    },
  };
}
