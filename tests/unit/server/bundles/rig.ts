import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../../../src/api/client.ts";
import { silentLog } from "../../../../src/lib/log.ts";
import type { BundleManifest, BundleResult } from "../../../../src/model/bundle.ts";
import { Server } from "../../../../src/server/server.ts";
import { FakeIo, run } from "../../cli/fake-io.ts";
import { anImage, ociArchive } from "../../images/rig.ts";

export interface Said {
  code: number;
  out: string;
  err: string;
}

/** A cluster of one machine in this process, as people reach it by the command line. */
export class Site {
  readonly directory: string;
  readonly client: ApiClient;
  readonly #server: Server;
  readonly #cwd: string;

  private constructor(directory: string, cwd: string, server: Server) {
    this.directory = directory;
    this.#cwd = cwd;
    this.#server = server;
    this.client = ApiClient.onSocket(server.socketPath);
  }

  /** @param cwd where its commands find and leave files */
  static async open(cwd: string): Promise<Site> {
    const directory = fs.mkdtempSync(join(tmpdir(), "orchd-site-"));
    const server = await Server.open({
      dataDir: directory,
      runDir: directory,
      runtime: "fake",
      agent: true,
      advertise: "127.0.0.1",
      version: { version: "1.2.3", commit: "abc", api: "v1" },
      log: silentLog,
    });
    await server.startAgent();
    return new Site(directory, cwd, server);
  }

  async close(): Promise<void> {
    await this.#server.stop();
    fs.rmSync(this.directory, { recursive: true });
  }

  orchd(...argv: string[]): Promise<Said> {
    const env = { ORCHD_SOCKET: this.#server.socketPath };
    return run(argv, new FakeIo({ cwd: this.#cwd, env }));
  }

  async must(...argv: string[]): Promise<string> {
    const { code, out, err } = await this.orchd(...argv);
    if (code !== 0) throw new Error(`orchd ${argv.join(" ")} ended with ${code}: ${err}`);
    return out;
  }

  async load(name: string, text = name): Promise<void> {
    await this.client.loadImage(new Blob([new Uint8Array(ociArchive(name, anImage(text)))]));
  }

  /** What people can see of it: what an applied bundle may change. */
  async everything(): Promise<unknown> {
    const images = (await this.client.keptImages()).map(({ reference, digest }) => {
      return [reference, digest];
    });
    const items = [...(await this.client.items("secret")), ...(await this.client.items("config"))];
    const services = await this.client.services();
    return {
      images,
      items: items.map(({ name, number }) => [name, number]),
      services: services.map(({ stack, name, revision }) => [stack, name, revision]),
    };
  }

  async create(...argv: string[]): Promise<BundleManifest & { leftOut: string[] }> {
    const out = await this.must("bundle", "create", "--json", ...argv);
    return JSON.parse(out) as BundleManifest & { leftOut: string[] };
  }

  async apply(...argv: string[]): Promise<BundleResult> {
    const out = await this.must("bundle", "apply", "--json", "--detach", ...argv);
    return JSON.parse(out) as BundleResult;
  }
}

export const COMPOSE = `
name: shop
services:
  web:
    image: web:1
    configs: [page]
    secrets: [password]
configs:
  page: {file: page.html}
secrets:
  password: {file: password.txt}
`;
