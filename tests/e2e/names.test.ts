import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Host } from "../../scripts/lab/host.ts";
import { HELLO_IMAGE } from "../../scripts/image.ts";

const IMAGE = `image: ${HELLO_IMAGE}\n    pull_policy: never`;

/** A shop whose service is seen by its own client, and by nobody of the other stack. */
const SHOP = `name: shop
services:
  web:
    ${IMAGE}
    ports: ["8080:8080"]
    deploy: { replicas: 2 }
  client:
    ${IMAGE}
    command: ["sleep", "100000"]
    stop_signal: SIGKILL
    dns_opt: ["timeout:2"]
    extra_hosts: ["printer.example:192.0.2.7"]
`;
const OTHER = `name: other
services:
  client:
    ${IMAGE}
    command: ["sleep", "100000"]
    stop_signal: SIGKILL
`;

describe("names as programs in containers see them", () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer();
    await host.mustUp(SHOP);
    await host.mustUp(OTHER);
  });
  afterAll(async () => host.stop());

  /** What a shell command prints in the client of a stack, and how it ended. */
  const inside = async (stack: string, command: string) => {
    const output = await host.orchd("exec", `${stack}/client.1`, "--", "sh", "-c", command);
    return { code: output.code, text: `${output.stdout}${output.stderr}` };
  };

  test("before the first container the node answers already, and has no bridge yet", async () => {
    const bare = await Host.withServer();
    try {
      expect((await bare.lab.run(["ip", "-o", "link"])).stdout).not.toContain("orchd0");
      const { stdout } = await bare.lab.run(["ss", "-lnutH", "sport", "=", ":53"]);
      expect(stdout.match(/10\.210\.1\.1:53/g)).toHaveLength(2);
    } finally {
      await bare.stop();
    }
  });

  test("the container asks the node alone, and tries names as they are written", async () => {
    const { text } = await inside("shop", "cat /etc/resolv.conf");
    const lines = text.trim().split("\n");
    expect(lines).toContain("nameserver 10.210.1.1");
    expect(lines.filter((line) => line.startsWith("nameserver"))).toHaveLength(1);
    expect(lines.find((line) => line.startsWith("search"))).toStartWith("search orchd.internal");
    expect(text).toContain("ndots:0");
    expect(text).toContain("timeout:2");
  });

  test("all ready tasks of a service, by its name and its stack's", async () => {
    for (const name of ["tasks.web", "tasks.web.shop", "tasks.web.shop.orchd.internal"]) {
      const { text } = await inside("shop", `nslookup ${name}`);
      expect(text.match(/^Address: 10\.210\.1\.\d+$/gm)).toHaveLength(2);
    }
  });

  test("one task by its slot, which can be talked to", async () => {
    const answers = await Promise.all(
      [1, 2].map((slot) => inside("shop", `wget -qO- http://${slot}.web:8080/`)),
    );
    expect(answers.map(({ code }) => code)).toEqual([0, 0]);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(2);
  });

  test("a service has one address, and a port by name", async () => {
    const { text } = await inside("shop", "nslookup web");
    expect(text.match(/^Address: 10\.210\.2[45]\d\.\d+$/gm)).toHaveLength(1);
    const { text: port } = await inside("shop", "nslookup -type=srv _8080._tcp.web");
    expect(port).toContain("web.shop.orchd.internal");
  });

  test("another stack does not see it", async () => {
    const { code, text } = await inside("other", "nslookup web");
    expect(code).not.toBe(0);
    expect(text).toContain("NXDOMAIN");
    expect((await inside("other", "nslookup web.shop.orchd.internal")).code).not.toBe(0);
  });

  test("extra hosts and the machine itself are known", async () => {
    expect((await inside("shop", "cat /etc/hosts")).text).toMatch(/^192\.0\.2\.7\s+printer/m);
    const { text } = await inside("shop", "nslookup host.docker.internal");
    expect(text).toContain("Address: 10.210.1.1");
  });

  test("a foreign name fails where there is nobody to ask", async () => {
    const { text } = await inside("shop", "nslookup www.example.com");
    expect(text).toContain("SERVFAIL");
  });

  test("names work again after the node had no container and no bridge", async () => {
    await host.must("down", "shop");
    await host.must("down", "other");
    const links = async () => (await host.lab.run(["ip", "-o", "link"])).stdout;
    await host.waitFor("the bridge has gone", async () => !(await links()).includes("orchd0"));
    await host.mustUp(SHOP);
    const { code } = await inside("shop", "wget -qO- http://1.web:8080/");
    expect(code).toBe(0);
  });

  test("a server that starts again answers, with containers that are there", async () => {
    await host.endServer();
    await host.startServer();
    await host.waitFor("a name is found", async () => {
      return (await inside("shop", "nslookup tasks.web")).code === 0;
    });
  });
});
