import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from "bun:test";
import { aStack, HELLO, Host } from "../../scripts/lab/host.ts";
import { expectRefusal } from "./refusal.ts";

describe("what a person gets wrong is told in one sentence and touches nothing", () => {
  let host: Host;
  let before: string[];
  beforeAll(async () => {
    host = await Host.withServer();
    await host.mustUp(HELLO);
  });
  afterAll(async () => host.stop());
  beforeEach(async () => {
    before = await host.containers("hello");
  });
  afterEach(async () => {
    expect(await host.containers("hello")).toEqual(before);
  });

  test("not YAML", async () => {
    expectRefusal(await host.up("services: [\n  broken: {"), /compose\.yaml:\d+:\d+/);
  });

  test("not text", async () => {
    const path = host.write("binary.yaml", new Uint8Array([0, 255, 254, 1, 2, 3, 0, 0]));
    expectRefusal(await host.orchd("up", "-f", path), /binary\.yaml/);
  });

  test("a file that is not there", async () => {
    expectRefusal(await host.orchd("up", "-f", "nowhere.yaml"), /nowhere\.yaml/);
  });

  test("an empty file", async () => {
    expectRefusal(await host.up(""), /compose\.yaml/);
  });

  test("a bomb of aliases", async () => {
    const levels = Array.from({ length: 12 }, (_, i) => {
      const before = i === 0 ? "x" : `*l${i - 1}`;
      return `x-l${i}: &l${i} [${Array.from({ length: 10 }, () => before).join(", ")}]`;
    });
    expectRefusal(await host.up(`${levels.join("\n")}\nservices: {a: {image: x}}\n`), /alias/i);
  });

  test("a bomb of depth", async () => {
    const deep = `x-deep: ${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    expectRefusal(await host.up(`${deep}\nservices: {a: {image: x}}\n`), /compose\.yaml/);
  });

  test("a bomb of size", async () => {
    const path = host.write("big.yaml", `# ${"x".repeat(30 * 1024 * 1024)}\nservices: {}\n`);
    expectRefusal(await host.orchd("up", "-f", path), /big\.yaml/);
  });

  test("an endless file", async () => {
    const output = await host.orchdWith({ timeoutMs: 10_000 }, "up", "-f", "/dev/zero");
    expectRefusal(output, /\/dev\/zero/);
  });

  test("misspelt properties, all at once, each with its line and a suggestion", async () => {
    const output = await host.up(aStack("typo", "comand: [a]\nenvironmnt: {A: b}"));
    expectRefusal(output, /:6:\d+.*comand.*command/);
    expect(output.stderr).toMatch(/:7:\d+.*environmnt.*environment/);
  });

  test("wrong types", async () => {
    expectRefusal(await host.up(aStack("types", "ports: 8080")), /:6:\d+.*ports/);
  });

  test("a service without an image", async () => {
    expectRefusal(await host.up("name: x\nservices:\n  a:\n    command: [a]\n"), /image/);
  });

  test("a variable that must be set and is not", async () => {
    expectRefusal(
      await host.up(aStack("var", "command: ['${NEED:?it is needed}']")),
      /it is needed/,
    );
  });

  for (const replicas of ["-1", "1.5", "99999999999", '"many"']) {
    test(`${replicas} replicas`, async () => {
      const compose = aStack("replicas", `deploy: {replicas: ${replicas}}`);
      expectRefusal(await host.up(compose), /replicas/);
      expect(await host.must("ls")).not.toContain("replicas");
    });
  }

  test("0 replicas are a stack with nothing to run", async () => {
    await host.mustUp(aStack("none", "deploy: {replicas: 0}"));
    expect(await host.tasks("none")).toEqual([]);
    await host.must("down", "none");
  });

  for (const name of ["../../etc", "/etc", ".", "-rf", "a b", "x".repeat(300), "a\nb"]) {
    test(`a stack named ${JSON.stringify(name).slice(0, 20)}`, async () => {
      const output = await host.up("services: {a: {image: x}}", `--name=${name}`);
      expectRefusal(output, /name/i);
    });
  }

  test("a service whose name is a path", async () => {
    expectRefusal(await host.up("name: x\nservices: {'../a': {image: x}}"), /\.\.\/a/);
  });

  for (const change of [
    "web-app=-1",
    "web-app=1.5",
    "web-app=99999999999",
    "web-app",
    "web-app=x",
  ]) {
    test(`scale ${change}`, async () => {
      const output = await host.orchd("scale", change);
      expect(output.code).toBeGreaterThan(0);
      expect(output.stderr.trim().split("\n").length).toBeLessThanOrEqual(3);
    });
  }

  test("a service that is not there, with the one that was meant", async () => {
    expectRefusal(await host.orchd("scale", "web-ap=2"), /web-app/);
    expectRefusal(await host.orchd("logs", "web-ap"), /web-app/);
    expectRefusal(await host.orchd("explain", "nothing-like-it"), /nothing-like-it/);
    expectRefusal(await host.orchd("down", "helo"), /hello/);
  });

  test("a command that does not exist, with the one that was meant", async () => {
    expectRefusal(await host.orchd("scal", "web-app=2"), /scale/, 2);
    expectRefusal(await host.orchd("ps", "--jsn"), /--json/, 2);
  });

  test("an image that is nowhere, without a network", async () => {
    const compose = aStack("lost", "deploy: {replicas: 1}").replace(
      /image: .*/,
      "image: shop/none:1",
    );
    const remote = compose.replace("pull_policy: never", "pull_policy: missing");
    const output = await host.up(remote, "--timeout", "8s");
    expect(output.code).toBeGreaterThan(0);
    expect(output.stdout + output.stderr).toContain("shop/none:1");
    await host.must("down", "lost");
  });

  test("a port that a program on the machine has", async () => {
    const other = host.lab.spawn(["busybox", "nc", "-l", "-p", "9090"]);
    await host.waitFor("the port is taken", async () => {
      const { stdout } = await host.lab.run(["busybox", "netstat", "-ltn"]);
      return stdout.includes(":9090");
    });
    const output = await host.up(aStack("taken", "ports: ['9090:8080']"), "--timeout", "5s");
    expect(output.code).toBeGreaterThan(0);
    expect(output.stdout + output.stderr).toContain("9090");
    await host.must("down", "taken");
    other.kill();
  });

  test("a port that another stack has", async () => {
    const output = await host.up(aStack("second", "ports: ['8080:8080']"), "--timeout", "5s");
    expect(output.code).toBeGreaterThan(0);
    expect(output.stdout + output.stderr).toMatch(/8080.*hello|hello.*8080/s);
    await host.orchd("down", "second");
  });

  test("a service that never starts", async () => {
    const compose = aStack("stuck", 'command: ["/no/such/program"]');
    const output = await host.up(compose, "--timeout", "5s");
    expect(output.code).toBeGreaterThan(0);
    expect(output.stdout + output.stderr).toContain("/no/such/program");
    await host.must("down", "stuck");
  });

  test("a mount of a folder that is not there", async () => {
    const mount =
      "{type: bind, source: /no/such/folder, target: /x, bind: {create_host_path: false}}";
    const volumes = `volumes: [${mount}]`;
    const output = await host.up(aStack("mount", volumes), "--timeout", "5s");
    expect(output.code).toBeGreaterThan(0);
    expect(output.stdout + output.stderr).toContain("/no/such/folder");
    await host.must("down", "mount");
  });

  test("an archive that holds no image", async () => {
    const path = host.write("not-an-image.tar", "no archive at all");
    const output = await host.orchd("image", "load", path);
    expect(output.code).toBeGreaterThan(0);
    expect(output.stderr.trim()).not.toBe("");
    expectRefusal(await host.orchd("image", "load", "/no/such.tar"), /\/no\/such\.tar/);
  });
});
