import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, lines, openLines, problem, type Routes } from "./fake-server.ts";
import { aTaskSummary } from "./samples.ts";

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function ask(
  routes: Routes,
  argv: string[],
  io = new FakeIo(),
  websocket?: Bun.WebSocketHandler<undefined>,
) {
  server = new FakeServer(routes, websocket);
  io.env["ORCHD_SOCKET"] = server.socketPath;
  return run(argv, io);
}

const targetOf = (path: string) => new URL(path, "http://x").searchParams.get("target") ?? "";
const aService = (id: string) => ({ kind: "service", id, name: id, stack: "shop", service: id });
const line = (task: string, at: number, text: string, stream = "stdout") => ({
  task,
  at,
  stream,
  text,
});

describe("orchd logs", () => {
  const routes: Routes = {
    "GET /v1/resolve": ({ path }) => aService(targetOf(path)),
    "GET /v1/logs": ({ path }) =>
      targetOf(path) === "web"
        ? lines(line("shop/web.1", 1, "one"), line("shop/web.10", 4, "four", "stderr"))
        : lines(line("shop/db.1", 2, "two\u001b[31m"), line("shop/db.1", 3, "three")),
  };

  test("puts lines of several services in order, named, each on its own stream", async () => {
    const { code, out, err } = await ask(routes, ["logs", "web", "db"]);
    expect(code).toBe(0);
    expect(out).toBe("shop/web.1 | one\nshop/db.1  | two\u001b[31m\nshop/db.1  | three\n");
    expect(err).toBe("shop/web.10 | four\n");
  });

  test("of one task carry no name, and their time when it is asked for", async () => {
    const one: Routes = {
      "GET /v1/resolve": () => ({ kind: "task", id: "t1", name: "shop/web.1" }),
      "GET /v1/logs": () => lines(line("shop/web.1", 0, "hello")),
    };
    expect((await ask(one, ["logs", "web.1", "-t"])).out).toBe("1970-01-01T00:00:00.000Z hello\n");
  });

  test("are asked for as the options say", async () => {
    await ask(routes, ["logs", "--since", "1700000000", "--tail", "5", "web"]);
    expect(server?.requests[1]?.path).toBe("/v1/logs?target=web&since=1700000000000&tail=5");
  });

  test("tells of a wrong name before it prints anything", async () => {
    const wrong: Routes = {
      ...routes,
      "GET /v1/resolve": ({ path }) =>
        targetOf(path) === "wbe" ? problem("notFound", "did you mean web?") : aService("web"),
    };
    expect(await ask(wrong, ["logs", "web", "wbe"])).toMatchObject({
      code: 1,
      out: "",
      err: "did you mean web?\n",
    });
  });

  test("that are followed end with Ctrl-C", async () => {
    const io = new FakeIo();
    const write = io.stdout.write.bind(io.stdout);
    io.stdout.write = async (data) => {
      await write(data);
      io.interrupt();
    };
    const endless: Routes = {
      ...routes,
      "GET /v1/logs": () => openLines(line("shop/web.1", 1, "one")),
    };
    const { code, out } = await ask(endless, ["logs", "-f", "web", "--json"], io);
    expect(code).toBe(130);
    expect(JSON.parse(out)).toEqual(line("shop/web.1", 1, "one"));
  });

  test("that break in the middle say what broke", async () => {
    const broken: Routes = {
      ...routes,
      "GET /v1/logs": () =>
        lines(line("a", 1, "x"), { error: { code: "runtime", message: "podman", details: [] } }),
    };
    expect(await ask(broken, ["logs", "web"])).toMatchObject({ code: 1, err: "podman\n" });
  });
});

test("orchd events shows what happened", async () => {
  const event = {
    at: 0,
    version: 7,
    kind: "task",
    action: "failed",
    id: "t1",
    name: "shop/web.1",
    message: "exit code 1\n",
  };
  const { out } = await ask({ "GET /v1/events": () => lines(event) }, ["events"]);
  expect(out).toBe("1970-01-01T00:00:00.000Z  task     shop/web.1  failed  exit code 1\\x0a\n");
});

describe("orchd exec", () => {
  const aTask: Routes = {
    "GET /v1/resolve": () => ({ kind: "task", id: "t1", name: "shop/web.1" }),
  };
  let request: Record<string, unknown> = {};

  /** Echoes its input on both streams and ends with 7 at the end of the input. */
  const echo: Bun.WebSocketHandler<undefined> = {
    message(ws, message) {
      if (typeof message !== "string") {
        ws.send(new Uint8Array([1, ...message]));
        ws.send(new Uint8Array([2, ...message]));
        return;
      }
      const told = JSON.parse(message) as Record<string, unknown>;
      if ("command" in told) {
        request = told;
        ws.send(JSON.stringify({ type: "started" }));
        if (told["stdin"] === true) return;
      }
      ws.send(JSON.stringify({ type: "exit", code: 7 }));
    },
  };

  test("passes on input, both outputs and the exit code", async () => {
    const io = new FakeIo({ input: "hé" });
    const result = await ask(aTask, ["exec", "-i", "web.1", "cat"], io, echo);
    expect(result).toMatchObject({ code: 7, out: "hé", err: "hé" });
    expect(server?.requests.at(-1)?.path).toBe("/v1/exec?task=t1");
  });

  test("hands over the command with its options, and those of orchd stay with orchd", async () => {
    const io = new FakeIo({ env: { HOME: "/root" } });
    const options = ["-u", "app", "-w", "/srv", "-e", "A=b=c", "-e", "HOME", "-e", "UNSET"];
    await ask(aTask, ["exec", ...options, "web.1", "--", "ls", "-la", "--user", "x"], io, echo);
    expect(request).toEqual({
      command: ["ls", "-la", "--user", "x"],
      tty: false,
      stdin: false,
      environment: { A: "b=c", HOME: "/root" },
      user: "app",
      workingDir: "/srv",
    });
  });

  test("with a terminal tells its size, and puts the terminal back", async () => {
    const io = new FakeIo({ isTerminal: true, input: "x" });
    await ask(aTask, ["exec", "-it", "web.1", "sh"], io, echo);
    expect(request).toMatchObject({ tty: true, size: { columns: 80, rows: 24 } });
    expect(io.raw).toEqual([true, false]);
  });

  test("puts the terminal back when the connection breaks", async () => {
    const io = new FakeIo({ isTerminal: true, input: "x" });
    const breaking: Bun.WebSocketHandler<undefined> = {
      message(ws, message) {
        if (typeof message === "string") ws.send(JSON.stringify({ type: "started" }));
        else ws.terminate();
      },
    };
    const { code, err } = await ask(aTask, ["exec", "-it", "web.1", "sh"], io, breaking);
    expect(code).toBe(3);
    expect(err).toContain("the connection to the orchd server");
    expect(io.raw).toEqual([true, false]);
  });

  test("tells why a command can't start", async () => {
    const refusing: Bun.WebSocketHandler<undefined> = {
      message(ws) {
        ws.send(JSON.stringify({ type: "error", code: "conflict", message: "web.1 has ended" }));
      },
    };
    const result = await ask(aTask, ["exec", "web.1", "sh"], new FakeIo(), refusing);
    expect(result).toMatchObject({ code: 1, err: "web.1 has ended\n" });
  });

  test("takes a service for its only task, and asks which one where there are more", async () => {
    const tasks = [aTaskSummary({ id: "t9" }), aTaskSummary({ state: "failed" })];
    const routes: Routes = {
      "GET /v1/resolve": () => aService("web"),
      "GET /v1/tasks": () => tasks,
    };
    await ask(routes, ["exec", "web", "sh"], new FakeIo(), echo);
    expect(server?.requests.at(-1)?.path).toBe("/v1/exec?task=t9");
    await server?.stop();

    tasks.push(aTaskSummary({ name: "shop/web.2" }));
    const { code, err } = await ask(routes, ["exec", "web", "sh"], new FakeIo(), echo);
    expect(code).toBe(2);
    expect(err).toBe("web runs 2 tasks: name one of shop/web.1, shop/web.2\n");
  });
});

describe("orchd image load", () => {
  const routes: Routes = {
    "POST /v1/images": ({ body }) => ({
      references: [`localhost/${body}:1`],
      nodes: [{ node: "n1", references: [`localhost/${body}:1`] }],
    }),
  };

  test("sends standard input", async () => {
    const io = new FakeIo({ input: "archive" });
    const { code, out } = await ask(routes, ["image", "load", "-"], io);
    expect({ code, out }).toEqual({ code: 0, out: "localhost/archive:1 is loaded on n1\n" });
  });

  test("sends a file, and nothing that is none", async () => {
    const io = () => new FakeIo({ cwd: import.meta.dir });
    expect((await ask(routes, ["image", "load", "samples.ts"], io())).out).toContain("aProgress");
    await server?.stop();
    expect(await ask(routes, ["image", "load", "."], io())).toMatchObject({
      code: 1,
      err: "can't load .: it is neither a file nor the folder of an OCI layout\n",
    });
    await server?.stop();
    const { err } = await ask(routes, ["image", "load", "none.tar"], io());
    expect(err).toStartWith("can't load none.tar: there is no such file");
  });

  test("sends the folder of an OCI layout as an archive", async () => {
    const cwd = mkdtempSync(join(tmpdir(), "orchd-layout-"));
    mkdirSync(join(cwd, "blobs"));
    writeFileSync(join(cwd, "oci-layout"), "{}");
    writeFileSync(join(cwd, "blobs", "one"), "content of a blob");
    const { out } = await ask(routes, ["image", "load", "."], new FakeIo({ cwd }));
    rmSync(cwd, { recursive: true });
    expect(out).toMatch(/blobs\/one[^]*content of a blob[^]*oci-layout/);
  });

  test("tells what a node could not take, and that the site keeps it", async () => {
    const nodes = [{ node: "n1", references: [], problem: "the disk is full" }];
    const reply: Routes = { "POST /v1/images": () => ({ references: ["localhost/web:1"], nodes }) };
    const io = new FakeIo({ input: "archive" });
    expect(await ask(reply, ["image", "load", "-"], io)).toMatchObject({
      code: 0,
      out: "localhost/web:1 is kept at the site\n",
      err:
        "n1 does not have all of it, it tries again when a task there needs it: " +
        "the disk is full\n",
    });
  });
});
