import { describe, expect, test } from "bun:test";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Check } from "../../../../src/model/probe.ts";
import { checkAt } from "../../../../src/net/checks/check.ts";
import { aCertificate, SERVER } from "../../../pki.ts";
import { answering, atEnd, closedPort, serve } from "./rig.ts";

type HttpCheck = Extract<Check, { type: "http" }>;

const PATIENT_MS = 4000;
/** Far less than any test would wait, and far more than a working answer takes. */
const GIVE_UP_MS = 100;

function check(port: number, over: Partial<HttpCheck> = {}, withinMs = PATIENT_MS) {
  const asked: HttpCheck = { type: "http", scheme: "http", port, path: "/", headers: {}, ...over };
  return checkAt("127.0.0.1", asked, AbortSignal.timeout(withinMs));
}

function answer(status: string, body = "", ...headers: string[]): string {
  const lines = [`HTTP/1.1 ${status}`, `content-length: ${body.length}`, ...headers];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

describe("a check by HTTP", () => {
  for (const [status, ok] of [
    ["200 OK", true],
    ["204 No Content", true],
    ["399", true],
    ["400 Bad Request", false],
    ["503 Service Unavailable", false],
    ["199", false],
  ] as const) {
    test(`that is answered with ${status} ${ok ? "succeeds" : "fails"}`, async () => {
      // A status below 200 only announces another, which never comes here.
      const end = status === "199" ? answer("500 No", "it is not") : answer(status, "it is so");
      const port = await answering((status === "199" ? "HTTP/1.1 199 x\r\n\r\n" : "") + end);
      const { ok: found, output } = await check(port);
      expect(found).toBe(ok);
      if (!ok) expect(output).toMatch(/^HTTP \d{3}: it is (so|not)$/);
    });
  }

  test("asks for what it is told to, with a host and headers of its own", async () => {
    let request = "";
    const port = await serve((socket) =>
      socket.once("data", (bytes) => {
        request = String(bytes);
        socket.end(answer("200 OK"));
      }),
    );
    await check(port, { path: "/a?b=c", host: "shop.example", headers: { "X-Probe": "1" } });
    expect(request.split("\r\n")).toEqual([
      "GET /a?b=c HTTP/1.1",
      "host: shop.example",
      "user-agent: orchd-probe",
      "accept: */*",
      "X-Probe: 1",
      "connection: close",
      "",
      "",
    ]);
    await check(port, { headers: { Host: "own.example" } });
    expect(request).not.toContain("host: 127");
    expect(request).toContain("Host: own.example");
  });

  test("does not follow a redirect, and takes it for an answer", async () => {
    const elsewhere = await closedPort();
    const port = await answering(
      answer("302 Found", "", `location: http://127.0.0.1:${elsewhere}/`),
    );
    expect(await check(port)).toMatchObject({ ok: true, output: "HTTP 302" });
  });

  test("does not care whose certificate it is shown", async () => {
    const { key, certificate } = await aCertificate({ usages: [SERVER], names: ["elsewhere"] });
    const server = createServer({ key, cert: certificate }, (_, reply) => reply.end("sealed"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    atEnd(() => server.close());
    const { port } = server.address() as AddressInfo;
    expect(await check(port, { scheme: "https" })).toEqual({
      ok: true,
      output: "HTTP 200: sealed",
    });
    expect(await check(port)).toMatchObject({ ok: false });
  });

  test("where nothing listens fails, and says so", async () => {
    const port = await closedPort();
    const output = `port ${port} refuses connections: nothing listens`;
    expect(await check(port)).toEqual({ ok: false, output });
  });
});

describe("a server that means no good", () => {
  test("and takes the connection and says nothing is given up", async () => {
    const port = await serve(() => {});
    const output = `port ${port} gave no answer`;
    expect(await check(port, {}, GIVE_UP_MS)).toEqual({ ok: false, output });
  });

  test("and never gets to the end of its head is given up", async () => {
    const port = await serve((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const drip = setInterval(() => socket.write("x: y\r\n"), 10);
      socket.on("close", () => clearInterval(drip));
    });
    expect(await check(port, {}, GIVE_UP_MS)).toMatchObject({ ok: false });
  });

  test("and drips a body for ever is judged by its head", async () => {
    const port = await serve((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const drip = setInterval(() => socket.write("x"), 10);
      socket.on("close", () => clearInterval(drip));
    });
    expect(await check(port)).toMatchObject({ ok: true });
  });

  test("and sends a body without end is read for its first 8 KiB", async () => {
    let sent = 0;
    const port = await serve((socket) => {
      socket.write("HTTP/1.1 500 No\r\n\r\n");
      const pour = () => {
        while (!socket.destroyed && socket.write("x".repeat(65_536))) sent += 65_536;
      };
      socket.on("drain", pour);
      pour();
    });
    const { ok, output } = await check(port);
    expect(ok).toBe(false);
    expect(output.length).toBeLessThan(8300);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  test("and sends a head without end is left", async () => {
    const port = await serve(
      (socket) => void socket.write(`HTTP/1.1 200 OK\r\n${"a".repeat(1e5)}`),
    );
    expect(await check(port)).toMatchObject({ ok: false });
  });

  test("and speaks something else is told apart from one that is silent", async () => {
    const port = await answering("SSH-2.0-OpenSSH_9.2\r\n");
    const output = `port ${port} does not answer in HTTP/1`;
    expect(await check(port)).toEqual({ ok: false, output });
  });

  test("and breaks the connection fails", async () => {
    const broken = await serve((socket) =>
      socket.once("data", () => void socket.resetAndDestroy()),
    );
    expect(await check(broken)).toMatchObject({ ok: false });
    const closed = await serve((socket) => void socket.end());
    const output = `port ${closed} closed the connection unanswered`;
    expect(await check(closed)).toEqual({ ok: false, output });
  });

  for (const head of ["HTTP/1.1 2000 OK", "HTTP/1.1 20x", "HTTP/9 200", "HTTP/1.1"]) {
    test(`and answers ${head} makes no sense`, async () => {
      const port = await answering(`${head}\r\n\r\n`);
      expect((await check(port)).ok).toBe(false);
    });
  }
});

describe("a check by TCP", () => {
  const ask = (port: number, withinMs = PATIENT_MS) =>
    checkAt("127.0.0.1", { type: "tcp", port }, AbortSignal.timeout(withinMs));

  test("succeeds where connections are taken, and sends nothing", async () => {
    let received = 0;
    const port = await serve((socket) => void socket.on("data", () => (received += 1)));
    expect(await ask(port)).toEqual({ ok: true, output: `port ${port} takes connections` });
    expect(received).toBe(0);
  });

  test("fails where they are not, or where time is over before it begins", async () => {
    expect((await ask(await closedPort())).ok).toBe(false);
    const port = await serve(() => {});
    expect(await checkAt("127.0.0.1", { type: "tcp", port }, AbortSignal.abort())).toMatchObject({
      ok: false,
    });
  });
});
