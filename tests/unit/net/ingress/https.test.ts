import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import * as tls from "node:tls";
import { type Listener, listenHttp, listenHttps } from "../../../../src/net/ingress/listeners.ts";
import type { Credentials } from "../../../../src/net/ingress/listeners.ts";
import { Authority, newAuthority } from "../../../../src/pki/authority.ts";
import { newKey, publicKeyOf } from "../../../../src/pki/keys.ts";
import { failureOf, ProxyRig, until } from "./rig.ts";

const ca = await newAuthority();
const authority = new Authority(ca);
const NOW = Date.now();

async function credentialsFor(host: string): Promise<Credentials> {
  const key = await newKey();
  return { key, certificate: await authority.issueIngress(host, publicKeyOf(key), NOW) };
}

let rig: ProxyRig;
let listener: Listener;
let certificates: Map<string, Credentials>;
beforeEach(async () => {
  rig = new ProxyRig();
  certificates = new Map([
    ["a.example", await credentialsFor("a.example")],
    ["b.example", await credentialsFor("b.example")],
  ]);
  const source = { certificateFor: (host: string) => certificates.get(host) };
  listener = await listenHttps(rig.proxy, source, "127.0.0.1", 0);
  rig.route([await rig.http((req, res) => void res.end(String(req.headers["x-forwarded-proto"])))]);
});
afterEach(() => {
  listener.close();
  rig.close();
});

function connect(servername: string | undefined): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const options: tls.ConnectionOptions = {
      port: listener.port,
      host: "127.0.0.1",
      ca: ca.certificate,
      ...(servername === undefined ? {} : { servername }),
    };
    const socket: tls.TLSSocket = tls.connect(options, () => resolve(socket));
    socket.on("error", reject);
  });
}

function ask(socket: tls.TLSSocket, host: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = "";
    socket.on("data", (bytes: Buffer) => {
      heard += bytes.toString();
      if (heard.endsWith("https")) resolve(heard);
    });
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  });
}

describe("a client over HTTPS", () => {
  test("gets the certificate of the host that it names; the task knows how it came", async () => {
    for (const host of ["a.example", "b.example"]) {
      const socket = await connect(host);
      expect(socket.authorized).toBe(true);
      expect(socket.getPeerCertificate().subject.CN).toBe(host);
      expect(await ask(socket, host)).toStartWith("HTTP/1.1 200");
      socket.destroy();
    }
  });

  test.each(["c.example", undefined])("that names %p is sent away", async (host) => {
    expect(await failureOf(connect(host))).not.toBe("");
    expect(rig.proxy.connections).toBe(0);
  });

  test("gets a new certificate from the next handshake on, and loses no connection", async () => {
    const before = await connect("a.example");
    certificates.set("a.example", await credentialsFor("a.example"));
    const after = await connect("a.example");
    const [old, young] = [before, after].map((one) => one.getPeerCertificate().fingerprint256);
    expect(old).not.toBe(young);
    expect(await ask(before, "a.example")).toStartWith("HTTP/1.1 200");
    before.destroy();
    after.destroy();
  });

  test("that says something else than TLS is sent away, and others are served", async () => {
    const noise = await new Promise<string>((resolve) => {
      void Bun.connect({
        hostname: "127.0.0.1",
        port: listener.port,
        socket: {
          open: (socket) => void socket.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
          data: () => {},
          close: () => resolve("closed"),
          error: () => {},
        },
      });
    });
    expect(noise).toBe("closed");
    const socket = await connect("a.example");
    expect(await ask(socket, "a.example")).toStartWith("HTTP/1.1 200");
    socket.destroy();
  });

  test("carries large answers whole", async () => {
    const body = "0123456789".repeat(800_000);
    rig.route([await rig.http((_req, res) => void res.end(body))]);
    const response = await fetch(`https://127.0.0.1:${listener.port}/`, {
      headers: { host: "a.example" },
      tls: { ca: ca.certificate, serverName: "a.example" },
    });
    expect(await response.text()).toBe(body);
    await until("it is noted", () => rig.served.length === 1);
  });
});

test("a port that another program has is told so", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => void other.listen(0, "127.0.0.1", resolve));
  const address = other.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const message = `port ${port} is in use by another program on this machine`;
  expect(() => listenHttp(rig.proxy, "127.0.0.1", port)).toThrow(message);
  const source = { certificateFor: () => undefined };
  expect(await failureOf(listenHttps(rig.proxy, source, "127.0.0.1", port))).toBe(message);
  other.close();
});
