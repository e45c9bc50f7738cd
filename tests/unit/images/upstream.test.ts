import { describe, expect, test } from "bun:test";
import { type Challenge, parseChallenge } from "../../../src/core/oci/challenge.ts";
import { parseImageReference, type ImageReference } from "../../../src/core/oci/reference.ts";
import { copyImage } from "../../../src/images/copy-image.ts";
import { UpstreamRegistries } from "../../../src/images/upstream.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import type { ImageStore } from "../../../src/images/image-store.ts";
import { anImage, anIndex, OCI_MANIFEST, quiet, sha256, streamOf, withStore } from "./rig.ts";
import { OCI_INDEX } from "../../../src/core/oci/manifest.ts";

interface Asked {
  path: string;
  authorization: string | null;
}

/** A registry on loopback that answers as `answer` says; every request is noted. */
async function withRegistry<T>(
  answer: (request: Request, base: string) => Response,
  run: (host: string, asked: Asked[]) => Promise<T>,
): Promise<T> {
  const asked: Asked[] = [];
  const server: Bun.Server<undefined> = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request: Request): Response {
      const { pathname, search } = new URL(request.url);
      asked.push({ path: pathname + search, authorization: request.headers.get("authorization") });
      return answer(request, `http://127.0.0.1:${server.port}`);
    },
  });
  try {
    return await run(`127.0.0.1:${server.port}`, asked);
  } finally {
    await server.stop(true);
  }
}

const login = { username: "me", password: "opens" };
const BASIC = `Basic ${Buffer.from("me:opens").toString("base64")}`;

function sourceFor(known = true): UpstreamRegistries {
  return new UpstreamRegistries({ login: () => (known ? login : undefined), now: Date.now });
}

function reference(text: string): ImageReference {
  const parsed = parseImageReference(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}

function unknown(challenge: string): Response {
  return new Response(null, { status: 401, headers: { "www-authenticate": challenge } });
}

describe("what a registry asks of strangers", () => {
  test("is read in all its forms", () => {
    const realm = "https://auth.example/token";
    const cases: [string, Challenge | undefined][] = [
      ['Basic realm="orchd"', { scheme: "basic" }],
      ["basic", { scheme: "basic" }],
      [
        `Bearer realm="${realm}",service="s",scope="repository:a/b:pull"`,
        { scheme: "bearer", realm, service: "s", scope: "repository:a/b:pull" },
      ],
      [`Negotiate, Bearer realm="${realm}"`, { scheme: "bearer", realm }],
      ["Bearer service=x", undefined],
      ['Bearer realm="no address"', undefined],
      ["Negotiate", undefined],
      ["", undefined],
    ];
    expect(cases.map(([text]) => parseChallenge(text))).toEqual(cases.map(([, found]) => found));
  });
});

describe("a registry elsewhere", () => {
  test("is shown a token that was had with the login, and the token alone", async () => {
    const answer = (request: Request, base: string) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/token") return Response.json({ token: "t1", expires_in: 300 });
      if (request.headers.get("authorization") === "Bearer t1") {
        return new Response("{}", { headers: { "content-type": `${OCI_MANIFEST}; charset=x` } });
      }
      return unknown(`Bearer realm="${base}/token",service="lab"`);
    };
    await withRegistry(answer, async (host, asked) => {
      const source = sourceFor();
      const found = await source.manifest(`${host}/team/web`, "1");
      expect(found?.mediaType).toBe(OCI_MANIFEST);
      await source.manifest(`${host}/team/web`, "2");
      expect(asked).toEqual([
        { path: "/v2/team/web/manifests/1", authorization: null },
        {
          path: "/token?service=lab&scope=repository%3Ateam%2Fweb%3Apull",
          authorization: BASIC,
        },
        { path: "/v2/team/web/manifests/1", authorization: "Bearer t1" },
        { path: "/v2/team/web/manifests/2", authorization: "Bearer t1" },
      ]);
    });
  });

  test("that wants the login elsewhere without encryption does not get it", async () => {
    const answer = () => unknown('Bearer realm="http://192.0.2.1/token"');
    await withRegistry(answer, async (host, asked) => {
      const failed = sourceFor().manifest(`${host}/web`, "1");
      expect(await failed.catch((error: unknown) => error)).toMatchObject({
        code: "unauthorized",
        message: `${host} wants the login sent without encryption`,
      });
      expect(asked).toHaveLength(1);
    });
  });

  test("sends blobs from another host, which does not hear who asks", async () => {
    await withRegistry(
      () => new Response("bytes"),
      async (other, heard) => {
        const answer = (request: Request) =>
          request.headers.has("authorization")
            ? new Response(null, { status: 307, headers: { location: `http://${other}/blob` } })
            : unknown("Basic");
        await withRegistry(answer, async (host) => {
          const blob = await sourceFor().blob(`${host}/web`, sha256("bytes"), 0);
          expect(await textOf(blob)).toBe("bytes");
          expect(heard).toEqual([{ path: "/blob", authorization: null }]);
        });
      },
    );
  });

  test("that sends on without end, or to where nothing is encrypted, is not followed", async () => {
    for (const location of ["/v2/web/manifests/1", "http://192.0.2.1/manifest"]) {
      const answer = () => new Response(null, { status: 302, headers: { location } });
      await withRegistry(answer, async (host) => {
        const failed = sourceFor(false).manifest(`${host}/web`, "1");
        expect(await failed.catch((error: unknown) => error)).toMatchObject({
          code: "unreachable",
          message: `${host} sends on to where nobody can follow`,
        });
      });
    }
  });

  test("that knows no ranges is gone on with all the same", () =>
    withRegistry(
      () => new Response("0123456789"),
      async (host) => {
        const blob = await sourceFor().blob(`${host}/web`, sha256("0123456789"), 4);
        expect(await textOf(blob)).toBe("456789");
      },
    ));

  test("that fails, or does not have it, is told apart", async () => {
    const answer = (request: Request) =>
      new Response(null, { status: request.url.endsWith("/1") ? 404 : 503 });
    await withRegistry(answer, async (host) => {
      expect(await sourceFor().manifest(`${host}/web`, "1")).toBeUndefined();
      const failed = sourceFor().manifest(`${host}/web`, "2");
      expect(await failed.catch((error: unknown) => error)).toMatchObject({
        code: "unreachable",
        retryable: true,
      });
    });
  });
});

describe("an image that is copied", () => {
  const images = ["one", "two", "three"].map((text) => anImage(text));
  const index = new Uint8Array(anIndex(images.map(({ manifest }) => manifest)));
  const blobs = new Map(images.flatMap(({ layer, config }) => [layer, config]).map(entryOf));
  const manifests = new Map(images.map(({ manifest }) => manifest).map(entryOf));

  function copy(store: ImageStore, from: string, architectures?: string[]): Promise<string> {
    const source = {
      manifest: async (_: string, wanted: string) => {
        if (wanted === "all" || wanted === sha256(index)) {
          return { bytes: index, mediaType: OCI_INDEX };
        }
        const bytes = manifests.get(wanted);
        return bytes && { bytes, mediaType: OCI_MANIFEST };
      },
      blob: async (_: string, digest: string) => {
        const bytes = blobs.get(digest);
        return bytes && streamOf(bytes);
      },
    };
    const of = reference(from);
    const own = architectures === undefined ? {} : { architectures: new Set(architectures) };
    return copyImage({ store, source, clock: systemClock, log: quiet, from: of, as: of, ...own });
  }

  test("is kept for the machines of the cluster alone, and whole where all is asked for", () =>
    withStore(async (store) => {
      expect(await copy(store, "reg.example/web:all", ["arm64"])).toBe("reg.example/web:all");
      const [kept] = await store.images();
      expect([kept?.platforms, kept?.isCopy]).toEqual([["linux/arm64"], false]);
      await copy(store, "reg.example/web:all");
      const platforms = (await store.images())[0]?.platforms;
      expect(platforms).toEqual(["linux/amd64", "linux/arm64", "linux/riscv64"]);
    }));

  test("stays when it was asked for by digest, also after what nobody needs was removed", () =>
    withStore(async (store) => {
      const digest = sha256(index);
      const name = await copy(store, `reg.example/web@${digest}`, ["amd64"]);
      expect(name).toBe(`reg.example/web:${digest.replace(":", "-")}`);
      await store.collect({ digests: new Set() });
      expect(store.find("reg.example/web", digest)).toMatchObject({ digest });
    }));

  test("that is not there, or lacks a part, is told, and nothing has its name", () =>
    withStore(async (store) => {
      const none = await copy(store, "reg.example/web:none").catch(String);
      expect(none).toContain("is not in its registry");
      const [gone] = images;
      blobs.delete(sha256(gone?.layer ?? ""));
      const failed = await copy(store, "reg.example/web:all", ["amd64"]).catch(String);
      expect(failed).toContain("the registry has not all of the image");
      expect(await store.images()).toEqual([]);
    }));
});

function entryOf(bytes: Uint8Array): [string, Uint8Array] {
  return [sha256(bytes), new Uint8Array(bytes)];
}

async function textOf(blob: AsyncIterable<Uint8Array> | undefined): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of blob ?? []) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}
