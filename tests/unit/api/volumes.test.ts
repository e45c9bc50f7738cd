import { beforeEach, describe, expect, test } from "bun:test";
import type { Consistency, NodeVolume, VolumeCalls } from "../../../src/model/volume.ts";
import { aContainer, anId, aNode, aService, aTask, aVolumeMount } from "../../builders.ts";
import { NO_VOLUMES } from "../../volumes.ts";
import { anApi, FakeAgent } from "./fixture.ts";

const asked: string[] = [];
beforeEach(() => {
  asked.length = 0;
});

function aNodeVolume(name: string, over: Partial<NodeVolume> = {}): NodeVolume {
  return { name, driver: "local", labels: {}, createdAt: 5, isOurs: true, ...over };
}

/** An agent whose node has these volumes. */
function agentWith(nodeName: string, ...volumes: NodeVolume[]): FakeAgent {
  const calls: VolumeCalls = {
    ...NO_VOLUMES,
    list: async ({ names, sizes }) =>
      volumes
        .filter(({ name }) => names?.includes(name) ?? true)
        .map((volume) => (sizes ? { ...volume, sizeBytes: 4096, files: 1 } : volume)),
    async read(name, how: Consistency | "held") {
      asked.push(`${nodeName} read ${name} ${how}`);
      return {
        pieces: new Response("archive").body ?? new ReadableStream(),
        close: async () => void asked.push("closed"),
      };
    },
    async write(name, archive, { stop, mount }) {
      let bytes = 0;
      for await (const piece of archive) bytes += piece.length;
      asked.push(`${nodeName} write ${name} ${bytes} stop=${stop} mount=${mount?.target}`);
      return { sha256: "0".repeat(64), entries: 1, bytes, changed: 0, skipped: 0 };
    },
  };
  const agent = new FakeAgent(anId(nodeName));
  Object.assign(agent, { volumes: calls });
  return agent;
}

function aWorld(volume = "data") {
  const service = aService({ container: aContainer({ mounts: [aVolumeMount(volume)] }) });
  const nodes = [aNode("n1", { hostname: "h1" }), aNode("n2", { hostname: "h2" })];
  return { nodes, services: [service], tasks: [aTask(service, "t")] };
}

describe("the volumes of the cluster", () => {
  test("are what nodes tell, with who uses them; what is somebody else's is left out", async () => {
    const theirs = aNodeVolume("theirs", { isOurs: false });
    const { app } = await anApi(aWorld(), [
      agentWith("n1", aNodeVolume("data"), theirs),
      agentWith("n2", aNodeVolume("old")),
    ]);
    const listed = await (await app.request("/v1/volumes?sizes=true")).json();
    expect(listed).toMatchObject([
      { name: "data", node: "h1", stack: "shop", usedBy: ["shop/web.1"], sizeBytes: 4096 },
      { name: "old", node: "h2", usedBy: [], isReached: true },
    ]);
  });

  test("are known by their tasks where the node is away", async () => {
    const { app } = await anApi(aWorld(), []);
    expect(await (await app.request("/v1/volumes")).json()).toMatchObject([
      { name: "data", node: "h1", isReached: false, usedBy: ["shop/web.1"] },
    ]);
  });

  test("have their users also where a template calls them", async () => {
    const { app } = await anApi(aWorld("data-{{.Task.Slot}}"), [
      agentWith("n1", aNodeVolume("data-1"), aNodeVolume("data-2")),
    ]);
    const listed = await (await app.request("/v1/volumes")).json();
    expect(listed).toMatchObject([
      { name: "data-1", stack: "shop", usedBy: ["shop/web.1"] },
      { name: "data-2", usedBy: [] },
    ]);
    await app.request("/v1/volumes/data-1/archive", { method: "PUT", body: "x" });
    expect(asked).toEqual(["n1 write data-1 1 stop=false mount=/data"]);
  });

  test("that nobody has are told so, with a name that is near", async () => {
    const { app } = await anApi(aWorld(), [agentWith("n1", aNodeVolume("data"))]);
    const answer = await app.request("/v1/volumes/dara");
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain("did you mean data?");
  });

  test("have names that lead nowhere", async () => {
    const { app } = await anApi(aWorld(), []);
    for (const name of ["..%2f..%2fetc", "a%2fb", "-rf", "..", "a%00", "x".repeat(256)]) {
      const answer = await app.request(`/v1/volumes/${name}/archive`);
      expect([400, 404]).toContain(answer.status);
    }
    expect(asked).toEqual([]);
  });

  test("are read as it was asked for, frozen where nothing was", async () => {
    const { app } = await anApi(aWorld(), [agentWith("n1", aNodeVolume("data"))]);
    expect(await (await app.request("/v1/volumes/data/archive")).text()).toBe("archive");
    const live = await app.request("/v1/volumes/data/archive?how=live");
    await live.text();
    expect(asked).toEqual(["n1 read data freeze", "closed", "n1 read data live", "closed"]);
    expect((await app.request("/v1/volumes/data/archive?how=held")).status).toBe(400);
  });

  test("on several nodes are told apart by their node", async () => {
    const both = [agentWith("n1", aNodeVolume("data")), agentWith("n2", aNodeVolume("data"))];
    const { app } = await anApi(aWorld(), both);
    const unsaid = await app.request("/v1/volumes/data/archive");
    expect(unsaid.status).toBe(409);
    expect(await unsaid.text()).toContain("on several nodes (h1, h2): say which with --node");
    await (await app.request("/v1/volumes/data/archive?node=h2")).text();
    expect(asked[0]).toBe("n2 read data freeze");
  });

  test("are written on the node that was named, and made as the stack says", async () => {
    const { app } = await anApi(aWorld(), [agentWith("n2")]);
    const put = { method: "PUT", body: "some bytes" };
    const answer = await app.request("/v1/volumes/data/archive?node=h2&stop=true", put);
    expect([answer.status, asked]).toEqual([200, ["n2 write data 10 stop=true mount=/data"]]);
    expect((await app.request("/v1/volumes/other/archive", put)).status).toBe(404);
  });

  test("move together from the one node that has them", async () => {
    const { app, calls } = await anApi(aWorld(), [
      agentWith("n1", aNodeVolume("data")),
      agentWith("n2", aNodeVolume("logs")),
    ]);
    const ask = (volumes: string[]) => ({
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ volumes, node: "h2" }),
    });
    await (await app.request("/v1/volumes/move", ask(["data"]))).text();
    expect(calls).toEqual([["moveVolumes", { names: ["data"], from: anId("n1"), to: anId("n2") }]]);
    const apart = await app.request("/v1/volumes/move", ask(["data", "logs"]));
    expect(await apart.text()).toContain("have to be on one node");
  });
});
