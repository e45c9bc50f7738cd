import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { Host } from "../../scripts/lab/host.ts";
import type { Output } from "../../scripts/lab/lab.ts";
import type { KeptImage } from "../../src/model/image.ts";

const REGISTRY = "127.0.0.1:6775";
/** Over TLS; pulls take a token too. */
const FOR_PEOPLE = "127.0.0.1:6770";
const PLAIN = "--tls-verify=false";
const BOTH_PLAIN = ["--src-tls-verify=false", "--dest-tls-verify=false"];
/** An answer without a body, as that to HEAD, has a number alone. */
const DENIED = /the token does not let you push docker.io\/other\/own|403 \(Forbidden\)/;
const ARCHITECTURES = ["amd64", "arm64"];
const TOOL = `${REGISTRY}/team/tool`;

describe("programs that others wrote, at the registry of a server", () => {
  let host: Host;
  let creds: string;
  beforeAll(async () => {
    host = await Host.withServer();
    creds = `me:${await host.token("--admin")}`;
  });
  afterAll(async () => host.stop());

  async function must(...command: string[]): Promise<string> {
    const output = await host.lab.run(command);
    if (output.code !== 0) throw new Error(`${command.join(" ")}: ${output.stderr}`);
    return output.stdout.trim();
  }

  function skopeo(...words: string[]): Promise<Output> {
    return host.lab.run(["skopeo", ...words]);
  }

  async function tagsOf(name: string): Promise<string[]> {
    const words = ["list-tags", PLAIN, "--creds", creds, `docker://${name}`];
    return (JSON.parse(await must("skopeo", ...words)) as { Tags: string[] }).Tags;
  }

  function rawOf(image: string): Promise<string> {
    return must("skopeo", "inspect", "--raw", PLAIN, "--creds", creds, `docker://${image}`);
  }

  async function architectureOf(image: string, wanted: string): Promise<string> {
    const from = [PLAIN, "--creds", creds, `docker://${image}`];
    const text = await must("skopeo", `--override-arch=${wanted}`, "inspect", "--config", ...from);
    return (JSON.parse(text) as { architecture: string }).architecture;
  }

  test("podman pushes, forgets and pulls the same image", async () => {
    const name = `${REGISTRY}/team/web:1`;
    const id = await host.podman("inspect", "--format", "{{.Id}}", HELLO_IMAGE);
    await host.podman("push", PLAIN, "--creds", creds, HELLO_IMAGE, name);
    await host.podman("rmi", HELLO_IMAGE);
    await host.podman("pull", PLAIN, name);
    expect(await host.podman("inspect", "--format", "{{.Id}}", name)).toBe(id);
    const served = await host.podman("run", "--rm", name, "cat", "/bin/serve");
    expect(served).toContain("httpd");
  });

  test("podman pushes Docker's own types as well", async () => {
    const name = `${REGISTRY}/team/docker:1`;
    const from = [`${REGISTRY}/team/web:1`, name];
    await host.podman("push", PLAIN, "--creds", creds, "--format", "v2s2", ...from);
    const { mediaType } = JSON.parse(await rawOf(name)) as { mediaType: string };
    expect(mediaType).toBe("application/vnd.docker.distribution.manifest.v2+json");
    await host.podman("pull", PLAIN, name);
  });

  test("buildah builds an image for several architectures, and pushes the index", async () => {
    await must("buildah", "manifest", "create", "tool");
    for (const architecture of ARCHITECTURES) {
      const made = await must("buildah", "from", "scratch");
      await must("buildah", "copy", made, host.write(architecture, architecture), "/which");
      await must("buildah", "config", "--arch", architecture, made);
      const id = await must("buildah", "commit", "--quiet", made);
      await must("buildah", "manifest", "add", "--arch", architecture, "tool", id);
    }
    const to = [PLAIN, "--creds", creds, "tool", `docker://${TOOL}:1`];
    await must("buildah", "manifest", "push", "--all", ...to);
    for (const wanted of ARCHITECTURES) {
      expect(await architectureOf(`${TOOL}:1`, wanted)).toBe(wanted);
    }
    const kept = await host.json<KeptImage[]>("image", "ls");
    const tool = kept.find(({ reference }) => reference === "docker.io/team/tool:1");
    expect(tool?.platforms.toSorted()).toEqual(["linux/amd64", "linux/arm64"]);
  });

  test("skopeo copies the whole index to another name, out of the site and back in", async () => {
    const login = [...BOTH_PLAIN, "--src-creds", creds, "--dest-creds", creds];
    const copy = (from: string, to: string) => must("skopeo", "copy", "--all", ...login, from, to);
    const outside = `oci:${join(host.lab.dir, "outside")}:1`;
    await copy(`docker://${TOOL}:1`, `docker://${REGISTRY}/team/copy:1`);
    await copy(`docker://${TOOL}:1`, outside);
    await copy(outside, `docker://${REGISTRY}/other/back:1`);
    const layout = join(host.lab.dir, "layout");
    await copy(`docker://${TOOL}:1`, `oci:${layout}:localhost/from-folder:1`);
    await host.must("image", "load", layout);
    const kept = await host.json<KeptImage[]>("image", "ls");
    expect(kept.map(({ reference }) => reference)).toContain("localhost/from-folder:1");
    const raw = await rawOf(`${TOOL}:1`);
    expect(await rawOf(`${REGISTRY}/team/copy:1`)).toBe(raw);
    for (const wanted of ARCHITECTURES) {
      expect(await architectureOf(`${REGISTRY}/other/back:1`, wanted)).toBe(wanted);
    }
  });

  test("skopeo lists tags, and deletes what they name", async () => {
    const login = [...BOTH_PLAIN, "--src-creds", creds, "--dest-creds", creds];
    const two = [`docker://${REGISTRY}/team/web:1`, `docker://${TOOL}:2`];
    await must("skopeo", "copy", ...login, ...two);
    expect(await tagsOf(TOOL)).toEqual(["1", "2"]);
    await must("skopeo", "delete", PLAIN, "--creds", creds, `docker://${TOOL}:2`);
    expect(await tagsOf(TOOL)).toEqual(["1"]);
    const gone = await skopeo("inspect", PLAIN, "--creds", creds, `docker://${TOOL}:2`);
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining("manifest unknown")]);
    // The other repository has the same image, and keeps it.
    await host.podman("pull", PLAIN, `${REGISTRY}/team/web:1`);
  });

  test("without a token, and with a wrong one, nobody pushes or deletes", async () => {
    const wrong = creds.replace(/.{6}$/, "000000");
    for (const login of [[], ["--creds", wrong]]) {
      const image = `${REGISTRY}/team/web:1`;
      const words = ["push", PLAIN, ...login, image, `${REGISTRY}/team/web:9`];
      const pushed = await host.lab.podman(...words);
      expect(pushed.stderr).toContain("unauthorized");
      expect((await skopeo("delete", PLAIN, ...login, `docker://${image}`)).code).toBe(1);
    }
    expect(await tagsOf(`${REGISTRY}/team/web`)).toEqual(["1"]);
  });

  test("with a token for some images, they do that with those, and nothing else", async () => {
    const scope = ["--scope", "repository:team/*:pull,push"];
    const login = ["--creds", `me:${await host.token(...scope)}`];
    const image = `${REGISTRY}/team/web:1`;
    const push = async (...to: string[]) =>
      (await host.lab.podman("push", PLAIN, ...login, image, ...to)).stderr;
    for (const registry of [REGISTRY, FOR_PEOPLE]) {
      expect(await push(`${registry}/team/own:1`)).not.toContain("Error");
      expect(await push(`${registry}/other/own:1`)).toMatch(DENIED);
      expect((await skopeo("delete", PLAIN, ...login, `docker://${image}`)).code).toBe(1);
    }
    await host.podman("pull", PLAIN, ...login, `${FOR_PEOPLE}/team/own:1`);
    const denied = await host.lab.podman("pull", PLAIN, ...login, `${FOR_PEOPLE}/other/back:1`);
    expect(denied.stderr).toContain("the token does not let you pull docker.io/other/back");
    const stranger = await host.lab.podman("pull", PLAIN, `${FOR_PEOPLE}/team/own:1`);
    expect(stranger.stderr).toContain("unauthorized");
    const target = `${login[1]?.slice("me:".length)}@${FOR_PEOPLE}`;
    const added = await host.orchd("context", "add", "mine", target);
    expect([added.code, added.stderr]).toEqual([1, expect.stringContaining("images alone")]);
  });
});
