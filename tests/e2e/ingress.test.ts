import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet } from "../../scripts/lab/fleet.ts";
import { aStack, HELLO, Host } from "../../scripts/lab/host.ts";
import { signalInside } from "../../scripts/lab/lab.ts";
import { Authority, newAuthority } from "../../src/pki/authority.ts";
import { newKey, publicKeyOf } from "../../src/pki/keys.ts";
import type { Explanation, NodeSummary } from "../../src/model/summary.ts";
import type { ServiceSummary, TaskSummary } from "../../src/model/summary.ts";
import { Visitors } from "./visitors.ts";

const PER_SECOND = 200;
const RULES = `    x-orchd:
      ingress:
        - { host: hello.example, port: 8080 }
        - { host: secure.example, port: 8080, tls: cluster, redirect: true }
`;
/** It publishes no port: who wants its page comes by a name. */
const STACK = HELLO.replace(/    ports:\n(?: {6}.*\n)+/, RULES);
const RENEWED = STACK.replace("GREETING: Hello", "GREETING: Welcome");

/** Asks until one answer is right, as certificates and ports follow a moment later. */
async function visitUntilGood(host: Host, url: string, name: string): Promise<string[]> {
  let certificates: string[] = [];
  await host.waitFor(`${url} answers for ${name}`, async () => {
    const said = await new Visitors(host, url, name, 0).end();
    certificates = said.certificates;
    return said.failed.length === 0;
  });
  return certificates;
}

describe("a service that takes requests by its host's name", () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer();
    await host.mustUp(STACK);
  });
  afterAll(async () => host.stop());

  test("is found on port 80, and with a certificate of the cluster on 443", async () => {
    await visitUntilGood(host, "http://127.0.0.1/", "hello.example");
    const names = await visitUntilGood(host, "https://127.0.0.1/", "secure.example");
    expect(names).toEqual(["secure.example"]);
  });

  test("answers no other name, and sends who wants HTTPS there", async () => {
    const of = async (name: string) =>
      (await new Visitors(host, "http://127.0.0.1/", name, 0).end()).failed;
    expect(await of("other.example")).toEqual(["404"]);
    expect(await of("secure.example")).toEqual(["308"]);
  });

  test("loses none of 200 requests a second while tasks are replaced, scaled, killed", async () => {
    const visitors = new Visitors(host, "http://127.0.0.1/", "hello.example", PER_SECOND);
    const before = await host.containers("hello");
    await host.mustUp(RENEWED);
    const after = await host.containers("hello");
    await host.must("scale", "hello/web-app=5");
    const [victim = ""] = (await host.containers("hello"))[0]?.split(" ") ?? [];
    await host.podman("kill", victim);
    await host.waitConverged("hello/web-app");
    await host.must("scale", "hello/web-app=2");
    const { asked, failed } = await visitors.stop();
    expect(failed).toEqual([]);
    expect(asked).toBeGreaterThan(PER_SECOND);
    expect(after.filter((one) => before.includes(one))).toEqual([]);
  }, 120_000);

  test("goes on with its tasks when a rule changes", async () => {
    const before = await host.containers("hello");
    const text = RENEWED.replace("host: hello.example", "host: renamed.example");
    await host.mustUp(text.replace("replicas: 3", "replicas: 2"));
    await visitUntilGood(host, "http://127.0.0.1/", "renamed.example");
    const after = await host.containers("hello");
    expect(after.filter((one) => before.includes(one))).toHaveLength(2);
  });

  test("tells where it is found", async () => {
    const urls = ["http://renamed.example/", "https://secure.example/"];
    const [task] = await host.json<TaskSummary[]>("ps", "hello");
    expect(task?.urls).toEqual(urls);
    const [service] = await host.json<ServiceSummary[]>("services", "hello");
    expect(service?.urls).toEqual(urls);
    const { facts } = await host.json<Explanation>("explain", "hello/web-app");
    expect(facts.filter(({ label }) => label === "address").map(({ value }) => value)).toEqual(
      urls.map((url) => `${url} to port 8080 of its tasks`),
    );
  });

  test("keeps its name: another service is refused it, and told whose it is", async () => {
    const rule = "x-orchd: { ingress: { host: renamed.example, port: 80 } }";
    const { code, stderr, stdout } = await host.up(aStack("other", rule));
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain(
      "other/app can't take renamed.example/: hello/web-app does already",
    );
  });

  test("leaves the ports when nobody wants them, and tells who has one that it wants", async () => {
    await host.must("down", "hello");
    const squatter = host.lab.spawn(["busybox", "httpd", "-f", "-p", "80"]);
    await host.mustUp(STACK);
    const problem = "HTTP: port 80 is in use by another program on this machine";
    await host.waitFor("explain tells of it", async () => {
      const { facts } = await host.json<Explanation>("explain", "hello/web-app");
      return facts.some(
        ({ label, value }) => label === "no requests on" && value.endsWith(problem),
      );
    });
    signalInside(squatter, "SIGKILL");
    await visitUntilGood(host, "http://127.0.0.1/", "hello.example");
  });
});

describe("a service with a certificate that people gave", () => {
  const HOST_NAME = "shop.own.example";
  const RULE = `    x-orchd:
      ingress:
        - { host: ${HOST_NAME}, port: 8080, tls: file, certificate: cert, key: key }
`;
  const FILES = `secrets:
  key: { file: key.pem }
configs:
  cert: { file: cert.pem }
`;
  const OWN = HELLO.replace(/    ports:\n(?: {6}.*\n)+/, RULE) + FILES;
  let host: Host;
  let authority: Authority;
  beforeAll(async () => {
    host = await Host.withServer();
    authority = new Authority(await newAuthority());
  });
  afterAll(async () => host.stop());

  /** Writes a certificate for a name, with its key, beside the Compose file. */
  async function write(name: string): Promise<void> {
    const key = await newKey();
    host.write("key.pem", key);
    host.write("cert.pem", await authority.issueIngress(name, publicKeyOf(key), Date.now()));
  }

  test("shows that one, and another one as soon as the secret is another", async () => {
    await write(HOST_NAME);
    await host.mustUp(OWN);
    const url = "https://127.0.0.1/";
    expect(await visitUntilGood(host, url, HOST_NAME)).toEqual([HOST_NAME]);
    const before = await host.containers("hello");
    await write("*.own.example");
    await host.mustUp(OWN);
    await host.waitFor("the other one is shown", async () => {
      return (await visitUntilGood(host, url, HOST_NAME)).includes("*.own.example");
    });
    expect(await host.containers("hello")).toEqual(before);
  });

  test("keeps it over a restart, with its key for nobody to read", async () => {
    await host.endServer();
    await host.startServer();
    const names = await visitUntilGood(host, "https://127.0.0.1/", HOST_NAME);
    expect(names).toEqual(["*.own.example"]);
    const [, line = ""] = readFileSync(join(host.lab.dir, "files", "key.pem"), "utf8").split("\n");
    const kept = readFileSync(join(host.dataDir, "host-certificates.json"), "utf8");
    expect(kept).toInclude(HOST_NAME);
    expect(kept).not.toInclude(line);
  });

  test("refuses one that does not fit its key, or is for other names", async () => {
    await write(HOST_NAME);
    host.write("key.pem", await newKey());
    const misfit = await host.up(OWN);
    expect(misfit.code).toBe(1);
    expect(misfit.stderr).toInclude(
      `the certificate for ${HOST_NAME} does not fit its key: give the key that it was made for ` +
        "(config hello_cert and secret hello_key of service hello/web-app)",
    );
    await write("elsewhere.example");
    expect((await host.up(OWN)).stderr).toInclude(`for ${HOST_NAME} is for other names`);
    const update = ["secret", "update", "hello_key", host.write("other.pem", await newKey())];
    expect((await host.orchd(...update)).stderr).toInclude("does not fit its key");
    const names = await visitUntilGood(host, "https://127.0.0.1/", HOST_NAME);
    expect(names).toEqual(["*.own.example"]);
  });
});

describe("a service whose only task is on one of two machines", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(2);
    const [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`, "--ingress-http", "8000"]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
    await h1.loadImage();
    await h1.mustUp(STACK.replace("replicas: 3", "replicas: 1"));
  });
  afterAll(async () => fleet.stop());

  test("is found on both, over HTTP and over HTTPS, on the ports of each", async () => {
    const [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    await visitUntilGood(h2, `http://${h1.address}/`, "hello.example");
    await visitUntilGood(h1, `http://${h2.address}:8000/`, "hello.example");
    for (const host of [h1, h2]) {
      const names = await visitUntilGood(host, `https://${h2.address}/`, "secure.example");
      expect(names).toEqual(["secure.example"]);
    }
    // Not the same port on all: the address tells none.
    expect((await h1.service("hello/web-app")).urls?.[0]).toBe("http://hello.example/");
  });
});
