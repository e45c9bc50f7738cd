import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiListener, serveApi } from "../../../src/api/listen.ts";
import { anApi } from "./fixture.ts";

let directory: string;
let socketPath: string;
let listener: ApiListener | undefined;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-api-"));
  socketPath = join(directory, "run", "orchd.sock");
});
afterEach(async () => {
  await listener?.close();
  listener = undefined;
  fs.rmSync(directory, { recursive: true });
});

async function listen(): Promise<ApiListener> {
  const { app } = await anApi();
  return serveApi(app, { socketPath });
}

async function version(): Promise<unknown> {
  return (await fetch("http://orchd/v1/version", { unix: socketPath })).json();
}

describe("the server's socket", () => {
  test("answers, and only root can open it or look into its directory", async () => {
    listener = await listen();
    expect(await version()).toMatchObject({ version: "1.2.3" });
    const modes = [join(directory, "run"), socketPath].map(
      (path) => fs.statSync(path).mode & 0o777,
    );
    expect(modes).toEqual([0o700, 0o600]);
  });

  test("goes when the server closes", async () => {
    await (await listen()).close();
    expect(fs.existsSync(socketPath)).toBe(false);
  });

  test("is replaced when a killed server left it", async () => {
    const left = Bun.spawn([process.execPath, "-e", LEAVE_A_SOCKET, socketPath]);
    await left.exited;
    expect(fs.statSync(socketPath).isSocket()).toBe(true);
    listener = await listen();
    expect(await version()).toMatchObject({ version: "1.2.3" });
  });

  test("is not taken from a server that answers", async () => {
    listener = await listen();
    const error = await listen().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "conflict",
      message: `another orchd server listens on ${socketPath}: stop it, or name another socket`,
    });
    expect(await version()).toMatchObject({ version: "1.2.3" });
  });

  test("does not replace a file that is no socket", async () => {
    fs.mkdirSync(join(directory, "run"));
    fs.writeFileSync(socketPath, "mine");
    const error = await listen().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "invalid" });
    expect(fs.readFileSync(socketPath, "utf8")).toBe("mine");
  });

  test("is refused in one sentence where it can't be", async () => {
    fs.writeFileSync(join(directory, "run"), "a file");
    const error = await listen().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ message: `cannot listen on ${socketPath}: name another socket` });
  });
});

const LEAVE_A_SOCKET = `
  const path = process.argv.at(-1);
  require("node:fs").mkdirSync(require("node:path").dirname(path), { recursive: true });
  Bun.serve({ unix: path, fetch: () => new Response() });
  process.kill(process.pid, "SIGKILL");
`;
