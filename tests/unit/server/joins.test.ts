import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import { put, remove } from "../../../src/model/change.ts";
import { serverSubnet } from "../../../src/core/network/subnets.ts";
import { CLUSTER_RANGE_DEFAULT } from "../../../src/model/cluster.ts";
import { joinRequestSchema } from "../../../src/model/join.ts";
import { checkPeer } from "../../../src/pki/check-peer.ts";
import { digestOfKey } from "../../../src/pki/digest.ts";
import { newKey, publicKeyOf } from "../../../src/pki/keys.ts";
import { newRequest } from "../../../src/pki/request.ts";
import { aNode } from "../../builders.ts";
import { aRequest, DAY_MS, derOf } from "../../pki.ts";
import { aCluster, aJoinedNode, aJoinRequest, type TestCluster } from "./port-rig.ts";

const RANGE6 = "fd11:2222:3333::/96";

/** The sentence of a refusal, with its code. */
async function refusalOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.catch((thrown: unknown) => thrown);
  return error instanceof OrchdError ? `${error.code}: ${error.message}` : "not refused";
}

async function joinAs(cluster: TestCluster, name: string, token = cluster.firstToken) {
  return cluster.joins.join(await aJoinRequest(token, { name }));
}

function nodesOf({ store }: TestCluster): string[] {
  return [...store.view().nodes.values()].map(({ hostname }) => hostname);
}

describe("a machine that joins", () => {
  test("becomes an agent with a certificate of its key, a range and its labels", async () => {
    const cluster = await aCluster();
    const key = await newKey();
    const labels = { site: "hall-3" };
    const request = await aJoinRequest(cluster.firstToken, { key, labels, name: "till-1" });
    const { nodeId, certificate, ...answer } = await cluster.joins.join(request);
    const keyDigest = digestOfKey(publicKeyOf(key));
    const peer = checkPeer(derOf(certificate), cluster.authority.certificate, cluster.clock.time);
    expect(peer).toEqual({ state: "valid", nodeId, keyDigest });
    const { caCertificate, gossipKeys } = cluster.store.view().cluster ?? {};
    expect(answer as object).toEqual({
      name: "till-1",
      caCertificate,
      gossipKeys,
      subnet: "10.210.2.0/24",
      servers: ["192.0.2.1:6770"],
    });
    expect(cluster.store.view().nodes.get(nodeId)).toMatchObject({
      hostname: "till-1",
      roles: { server: false, agent: true },
      labels,
      health: "down",
      keyDigest,
      subnet: "10.210.2.0/24",
      certificateExpiresAt: cluster.clock.time + 365 * DAY_MS,
    });
  });

  test("is told of the cluster's IPv6 network, which its bridge needs at once", async () => {
    const cluster = await aCluster();
    const known = cluster.store.view().cluster;
    if (known !== undefined)
      await cluster.store.commit([put.cluster({ ...known, range6: RANGE6 })]);
    expect((await joinAs(cluster, "a")).range6).toBe(RANGE6);
  });

  test("can't say what it may be, nor which node it is", async () => {
    const cluster = await aCluster();
    const asked = await aJoinRequest(cluster.firstToken, { name: "a" });
    const greedy = { ...asked, roles: { server: true, agent: true }, nodeId: "n9xxxxxxxxxx" };
    const { nodeId } = await cluster.joins.join(joinRequestSchema.parse(greedy));
    expect(nodeId as string).not.toBe("n9xxxxxxxxxx");
    expect(cluster.store.view().nodes.get(nodeId)?.roles).toEqual({ server: false, agent: true });
  });

  test("with a request for more than its key is refused, and the token is not used", async () => {
    const cluster = await aCluster();
    const csr = await aRequest({ subject: "CN=server" });
    const join = cluster.joins.join(await aJoinRequest(cluster.firstToken, { csr }));
    expect(await refusalOf(join)).toStartWith("invalid: the certificate request is refused");
    expect([...cluster.store.view().tokens.values()].map(({ uses }) => uses)).toEqual([0]);
    expect(nodesOf(cluster)).toEqual([]);
  });

  test("under a name that is taken is told what to do", async () => {
    const cluster = await aCluster();
    await joinAs(cluster, "till");
    expect(await refusalOf(joinAs(cluster, "till"))).toBe(
      "conflict: another machine has joined as till: join with --name and another name, " +
        "or remove the old one first with `orchd node rm till`",
    );
    expect(nodesOf(cluster)).toEqual(["till"]);
  });

  test("under a name that is none is told so", async () => {
    const cluster = await aCluster();
    const asked = await aJoinRequest(cluster.firstToken);
    const facts = { ...asked.facts, hostname: "\u001b[31m" };
    expect(await refusalOf(cluster.joins.join({ ...asked, facts }))).toStartWith(
      "invalid: the machine's name must be 1 to 253 letters",
    );
  });

  test("with a key that has joined is the same node, under its new name and labels", async () => {
    const cluster = await aCluster();
    const token = await cluster.tokens.create({ kind: "join", description: "", usesMax: 1 });
    const key = await newKey();
    const ask = async (name: string, labels: Record<string, string>) =>
      cluster.joins.join(await aJoinRequest(token.text, { key, name, labels }));
    const first = await ask("a", { site: "1", row: "2" });
    const again = await ask("b", { site: "3" });
    expect(again.nodeId).toBe(first.nodeId);
    expect(again.subnet).toBe(first.subnet ?? "");
    expect(nodesOf(cluster)).toEqual(["b"]);
    const node = cluster.store.view().nodes.get(first.nodeId);
    expect(node?.labels).toEqual({ site: "3", row: "2" });
    expect(cluster.store.view().tokens.get(token.token.id)?.uses).toBe(1);
  });

  test("at a server whose clock is at 1970 has a certificate from then on", async () => {
    const cluster = await aCluster();
    const { text } = await cluster.tokens.create({ kind: "join", description: "" });
    cluster.clock.time = 0;
    const { certificate } = await joinAs(cluster, "a", text);
    const ca = cluster.authority.certificate;
    const at = (time: number) => checkPeer(derOf(certificate), ca, time).state;
    expect([at(0), at(364 * DAY_MS), at(366 * DAY_MS)]).toEqual(["valid", "valid", "expired"]);
  });

  test("that was removed is a new node", async () => {
    const cluster = await aCluster();
    const key = await newKey();
    const ask = async () => cluster.joins.join(await aJoinRequest(cluster.firstToken, { key }));
    const { nodeId } = await ask();
    const node = cluster.store.view().nodes.get(nodeId);
    if (node !== undefined) await cluster.store.commit([remove.node(node)]);
    expect((await ask()).nodeId).not.toBe(nodeId);
  });
});

describe("a token lets in", () => {
  test("no more machines than it was made for, however many ask at once", async () => {
    const cluster = await aCluster();
    const { text, token } = await cluster.tokens.create({
      kind: "join",
      description: "",
      usesMax: 3,
    });
    const asked = Array.from({ length: 10 }, (_, i) => joinAs(cluster, `n${i}`, text));
    const results = await Promise.all(asked.map(refusalOf));
    expect(results.filter((result) => result === "not refused")).toHaveLength(3);
    expect(new Set(results.filter((result) => result !== "not refused"))).toEqual(
      new Set([
        "unauthorized: the token is used up, the 3 machines that it was made for joined: " +
          "make one with `orchd token create` on the server's machine",
      ]),
    );
    expect(nodesOf(cluster)).toHaveLength(3);
    expect(cluster.store.view().tokens.get(token.id)?.uses).toBe(3);
  });

  const make = "make one with `orchd token create` on the server's machine";
  test("nobody after its time", async () => {
    const cluster = await aCluster();
    cluster.clock.time += DAY_MS;
    const join = joinAs(cluster, "a");
    expect(await refusalOf(join)).toBe(`unauthorized: the token has expired: ${make}`);
  });

  test("nobody after it was revoked, nor with its old secret after it was rotated", async () => {
    const cluster = await aCluster();
    const [token] = cluster.store.view().tokens.values();
    if (token === undefined) throw new Error("there is a first token");
    const rotated = await cluster.tokens.rotate(token.id);
    const wrong = `unauthorized: the token is wrong or was revoked: ${make}`;
    expect(await refusalOf(joinAs(cluster, "a"))).toBe(wrong);
    expect(await refusalOf(joinAs(cluster, "a", rotated.text))).toBe("not refused");
    await cluster.tokens.revoke(token.id);
    expect(await refusalOf(joinAs(cluster, "b", rotated.text))).toBe(wrong);
  });

  test("no machine when it is one for people", async () => {
    const cluster = await aCluster();
    const { text } = await cluster.tokens.create({ kind: "admin", description: "" });
    expect(await refusalOf(joinAs(cluster, "a", text))).toBe(
      "unauthorized: an admin token lets no machine join: make a join token",
    );
  });
});

describe("a node's range of addresses", () => {
  test("is the lowest that is free, beside that of the server's machine", async () => {
    const cluster = await aCluster();
    const subnets = [];
    for (const name of ["a", "b", "c"]) subnets.push((await joinAs(cluster, name)).subnet);
    expect(subnets).toEqual(["10.210.2.0/24", "10.210.3.0/24", "10.210.4.0/24"]);
    expect(subnets).not.toContain(serverSubnet(CLUSTER_RANGE_DEFAULT));
    const b = [...cluster.store.view().nodes.values()].find(({ hostname }) => hostname === "b");
    if (b !== undefined) await cluster.store.commit([remove.node(b)]);
    expect((await joinAs(cluster, "d")).subnet).toBe("10.210.3.0/24");
  });

  test("is none for the runtime in memory", async () => {
    const cluster = await aCluster();
    const asked = await aJoinRequest(cluster.firstToken);
    const facts = { ...asked.facts, runtime: { name: "fake", version: "1" } };
    expect(await cluster.joins.join({ ...asked, facts })).not.toHaveProperty("subnet");
  });

  test("is refused in one sentence when all are taken", async () => {
    const cluster = await aCluster();
    const nodes = Array.from({ length: 238 }, (_, i) =>
      aNode(`n${i}`, { subnet: `10.210.${i + 2}.0/24` }),
    );
    await cluster.store.commit(nodes.map(put.node));
    expect(await refusalOf(joinAs(cluster, "one-more"))).toBe(
      "conflict: the cluster has no range of addresses left: " +
        "remove a node with `orchd node rm`",
    );
  });
});

describe("a certificate is renewed", () => {
  test("for a year from now, whatever the old one was, and tells the time", async () => {
    const cluster = await aCluster();
    const { nodeId, key } = await aJoinedNode(cluster, "a");
    const keyDigest = digestOfKey(publicKeyOf(key));
    cluster.clock.time += 700 * DAY_MS;
    const answer = await cluster.joins.renew({ nodeId, keyDigest }, await newRequest(key));
    const now = cluster.clock.time;
    expect(answer).toMatchObject({ serverTime: now, servers: ["192.0.2.1:6770"] });
    const ca = cluster.authority.certificate;
    const at = (time: number) => checkPeer(derOf(answer.certificate), ca, time).state;
    expect([at(now + 365 * DAY_MS), at(now + 366 * DAY_MS)]).toEqual(["valid", "expired"]);
    const node = cluster.store.view().nodes.get(nodeId);
    expect(node?.certificateExpiresAt).toBe(now + 365 * DAY_MS);
  });

  test("without a write when it was renewed the same day", async () => {
    const cluster = await aCluster();
    const { nodeId, key } = await aJoinedNode(cluster, "a");
    const { version } = cluster.store.view().nodes.get(nodeId) ?? {};
    cluster.clock.time += 1000;
    const keyDigest = digestOfKey(publicKeyOf(key));
    await cluster.joins.renew({ nodeId, keyDigest }, await newRequest(key));
    expect(cluster.store.view().nodes.get(nodeId)?.version).toBe(version ?? 0);
  });

  test("for no other key, and for no node that was removed", async () => {
    const cluster = await aCluster();
    const { nodeId, key } = await aJoinedNode(cluster, "a");
    const keyDigest = digestOfKey(publicKeyOf(key));
    const other = cluster.joins.renew({ nodeId, keyDigest }, await newRequest(await newKey()));
    expect(await refusalOf(other)).toBe(
      "forbidden: a node's certificate is renewed for its own key: join again for another",
    );
    const node = cluster.store.view().nodes.get(nodeId);
    if (node !== undefined) await cluster.store.commit([remove.node(node)]);
    const gone = cluster.joins.renew({ nodeId, keyDigest }, await newRequest(key));
    expect(await refusalOf(gone)).toBe("removed: the node was removed: join again with a token");
  });
});
