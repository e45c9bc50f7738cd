import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { writeHelloImage } from "../../scripts/image.ts";
import { Fleet } from "../../scripts/lab/fleet.ts";
import { Host } from "../../scripts/lab/host.ts";
import { signalInside } from "../../scripts/lab/lab.ts";
import type { KeptImage } from "../../src/model/image.ts";
import type { NodeSummary } from "../../src/model/summary.ts";

const UPSTREAM = "127.0.0.1:5000";
const IMAGE = `${UPSTREAM}/team/web:1`;
const LOGIN = { name: "reader", password: "opens-the-registry" };
const PLAIN = "--tls-verify=false";

/** Debian's package of the registry that most others are made of, with one image in it. */
async function startUpstream(host: Host): Promise<ChildProcess> {
  const hash = await Bun.password.hash(LOGIN.password, { algorithm: "bcrypt", cost: 4 });
  const config = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(host.lab.dir, "upstream") } },
    http: { addr: UPSTREAM },
    auth: {
      htpasswd: { realm: "lab", path: host.write("htpasswd", `${LOGIN.name}:${hash}\n`) },
    },
  };
  const file = host.write("registry.yml", JSON.stringify(config));
  const registry = host.lab.spawn(["docker-registry", "serve", file]);
  await host.waitFor("the registry answers", async () => {
    const asked = await host.lab.run(["skopeo", "list-tags", PLAIN, `docker://${IMAGE}`]);
    return !asked.stderr.includes("refused");
  });
  const archive = join(host.lab.dir, "hello.tar");
  writeHelloImage(archive);
  const to = ["--dest-tls-verify=false", "--dest-creds", `${LOGIN.name}:${LOGIN.password}`];
  const copy = ["skopeo", "copy", ...to, `docker-archive:${archive}`, `docker://${IMAGE}`];
  const { code, stderr } = await host.lab.run(copy);
  if (code !== 0) throw new Error(stderr);
  return registry;
}

/** As `podman login` writes it. */
async function logIn(host: Host): Promise<string> {
  const auth = join(host.lab.dir, "auth.json");
  const words = ["login", PLAIN, "--authfile", auth, "--username", LOGIN.name];
  const command = ["podman", ...words, "--password-stdin", UPSTREAM];
  const { code, stderr } = await host.lab.run(command, { input: LOGIN.password });
  if (code !== 0) throw new Error(stderr);
  return auth;
}

describe("an image of a registry elsewhere, which wants a login", () => {
  let host: Host;
  let credsFile: string;
  beforeAll(async () => {
    host = await Host.bare();
    await host.startServer();
    await startUpstream(host);
    credsFile = host.write("login", `${LOGIN.name}:${LOGIN.password}\n`);
  });
  afterAll(async () => host.stop());

  async function kept(): Promise<string[]> {
    return (await host.json<KeptImage[]>("image", "ls")).map(({ reference }) => reference);
  }

  test("is refused without the login and with a wrong one, and nothing of it is kept", async () => {
    const without = await host.orchd("image", "copy", `docker://${IMAGE}`);
    const told = `${UPSTREAM} wants a login: give one with --creds-file`;
    expect([without.code, without.stderr]).toEqual([1, expect.stringContaining(told)]);
    const wrong = host.write("wrong", "reader:something-else");
    const refused = await host.orchd("image", "copy", `docker://${IMAGE}`, "--creds-file", wrong);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("not let")]);
    expect(refused.stderr).not.toContain("something-else");
    expect(await kept()).toEqual([]);
  });

  test("is copied with it, kept, and on the nodes under its own name", async () => {
    const copy = ["image", "copy", `docker://${IMAGE}`, "--creds-file", credsFile];
    expect(await host.must(...copy)).toMatch(new RegExp(`^${IMAGE} is loaded on `));
    expect(await kept()).toEqual([IMAGE]);
    const names = await host.podman("images", "--format", "{{.Repository}}:{{.Tag}}");
    expect(names).toBe(IMAGE);
    expect(host.log).not.toContain(LOGIN.password);
  });

  test("is copied under another name, with the login of a file that podman wrote", async () => {
    const auth = await logIn(host);
    await host.must("image", "copy", IMAGE, "shop/web:7", "--creds-file", auth);
    expect(await kept()).toEqual([IMAGE, "docker.io/shop/web:7"]);
  });

  test("that is not there is told, with the login from standard input", async () => {
    const absent = `docker://${UPSTREAM}/team/none:1`;
    const words = ["image", "copy", absent, "--creds-file", "-"];
    const input = `${LOGIN.name}:${LOGIN.password}`;
    const { code, stderr } = await host.orchdWith({ input }, ...words);
    expect([code, stderr]).toEqual([1, expect.stringContaining("is not in its registry")]);
  });
});

describe("a site whose server alone reaches a registry", () => {
  test("gets images through it once, and keeps copies for when it is gone", async () => {
    const fleet = await Fleet.start(2);
    try {
      const [server, node] = fleet.hosts;
      if (server === undefined || node === undefined) throw new Error("the fleet has hosts");
      const registry = await startUpstream(server);
      const auth = await logIn(server);
      await server.startServer(["--upstream", UPSTREAM, "--upstream-creds-file", auth]);
      node.spawnAgent([`${await server.token()}@${server.address}`]);
      await server.waitFor("all nodes are ready", async () => {
        const nodes = await server.json<NodeSummary[]>("nodes");
        return nodes.filter(({ health }) => health === "ready").length === 2;
      });
      const compose = (name: string) =>
        `name: ${name}\nservices:\n  app:\n    image: ${IMAGE}\n    deploy: {mode: global}\n`;
      await server.mustUp(compose("first"));
      expect(await node.podman("images", "--format", "{{.Repository}}:{{.Tag}}")).toBe(IMAGE);
      signalInside(registry, "SIGKILL");
      await server.must("down", "first");
      await node.podman("rmi", "--all", "--force");
      await server.mustUp(compose("second"));
      expect((await server.running("second")).length).toBe(2);
    } finally {
      await fleet.stop();
    }
  });
});
