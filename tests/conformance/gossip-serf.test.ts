import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../src/lib/errors.ts";
import { PRESETS } from "../../src/core/gossip/tuning.ts";
import { decodeTags } from "../../src/core/gossip/wire/tags.ts";
import { Keyring } from "../../src/net/gossip/keyring.ts";
import { hasSerf, orchdSees, SerfLab, serfSees, type LabOptions } from "./gossip-serf-lab.ts";
import { until } from "./runtime-until.ts";

const KEY = new TextEncoder().encode("0123456789abcdef0123456789abcdef");
const OTHER_KEY = new TextEncoder().encode("fedcba98765432100123456789abcdef");
const WRAPPINGS: Record<string, LabOptions> = {
  "encrypted and compressed": { key: KEY, compress: true },
  encrypted: { key: KEY, compress: false },
  compressed: { compress: true },
  "neither encrypted nor compressed": { compress: false },
};

const labs: SerfLab[] = [];
afterEach(() => {
  for (const lab of labs.splice(0)) lab.close();
});

function aLab(options: LabOptions): SerfLab {
  const lab = new SerfLab(options);
  labs.push(lab);
  return lab;
}

/** Two of each kind: serfs that joined through orchd members, and one of these through a serf. */
async function aMixedCluster(options: LabOptions) {
  const lab = aLab(options);
  const o1 = await lab.orchd("o1");
  const s1 = await lab.serf("s1", [o1.advertised]);
  const o2 = await lab.orchd("o2");
  expect(await o2.join([s1.at])).toBe(1);
  const s2 = await lab.serf("s2", [o2.advertised]);
  const names = ["o1", "o2", "s1", "s2"];
  for (const name of names) {
    for (const serf of [s1, s2]) await serfSees(serf, name, "alive");
    for (const member of [o1, o2]) await orchdSees(member, name, "alive");
  }
  return { lab, o1, o2, s1, s2 };
}

if (hasSerf("gossip with a real serf")) {
  for (const [name, options] of Object.entries(WRAPPINGS)) {
    describe(name, () => {
      test("serf lists orchd's members as its own, and the other way round", async () => {
        const { o1, s1 } = await aMixedCluster(options);
        expect(await serfSees(s1, "o1", "alive")).toMatchObject({
          name: "o1",
          addr: `${o1.advertised.host}:${o1.advertised.port}`,
          tags: { kind: "orchd" },
          protocol: { min: 2, max: 5, version: 5 },
        });
        const seen = await orchdSees(o1, "s1", "alive");
        expect([seen.address, decodeTags(seen.meta)]).toEqual([s1.at, { kind: "serf" }]);
        expect(s1.complaints).toEqual([]);
      });

      test("a leave is a leave on both sides, and who comes back is there again", async () => {
        const { lab, o1, o2, s1, s2 } = await aMixedCluster(options);
        await o2.leave();
        await orchdSees(o1, "o2", "left");
        for (const serf of [s1, s2]) await serfSees(serf, "o2", "left");
        o2.close();
        await s2.run("leave");
        await orchdSees(o1, "s2", "left");
        await serfSees(s1, "s2", "left");
        const again = await lab.orchd("o2", { bind: o2.advertised });
        expect(await again.join([o1.advertised])).toBe(1);
        await serfSees(s1, "o2", "alive");
        await orchdSees(o1, "o2", "alive");
        expect(s1.complaints).toEqual([]);
        expect(Object.fromEntries(o1.traffic.refused)).toEqual({});
        expect(Object.fromEntries(o1.ignored)).toEqual({});
      });

      test("a kill is a failure on both sides", async () => {
        const { o1, o2, s1, s2 } = await aMixedCluster(options);
        // One after the other: with most members gone there is nobody to confirm a suspicion.
        o2.close();
        await orchdSees(o1, "o2", "dead");
        await serfSees(s1, "o2", "failed");
        s2.kill();
        await orchdSees(o1, "s2", "dead");
        await serfSees(s1, "s2", "failed");
      });
    });
  }

  test("changed tags are seen on both sides", async () => {
    const { o1, s1 } = await aMixedCluster({ key: KEY, compress: true });
    o1.updateTags({ kind: "orchd", zone: "b" });
    await s1.run("tags", "-set=zone=c");
    await until("serf to show the new tag", async () => {
      return (await serfSees(s1, "o1", "alive")).tags["zone"] === "b";
    });
    await until("orchd to know the new tag", async () => {
      return decodeTags((await orchdSees(o1, "s1", "alive")).meta)["zone"] === "c";
    });
  });

  test("a notice is an event of serf's users, and the other way round", async () => {
    const lab = aLab({ key: KEY, compress: true });
    const heard: string[] = [];
    const o1 = await lab.orchd("o1", {
      onNotice: (notice) => heard.push(new TextDecoder().decode(notice)),
    });
    const s1 = await lab.serf("s1", [o1.advertised]);
    await serfSees(s1, "o1", "alive");
    o1.notify(new TextEncoder().encode("hello"));
    await until("serf to hear of it", () => s1.log.includes("user-event: orchd"));
    await s1.run("event", "-coalesce=false", "orchd", "good day");
    await until("orchd to hear of serf's", () => heard.length > 0);
    expect(heard).toEqual(["good day"]);
  });

  test("a member that serf forces to leave, but that is there, comes back at once", async () => {
    const { s1 } = await aMixedCluster({ key: KEY, compress: true });
    const joins = () => s1.log.split("messageJoinType: o1").length;
    const before = joins();
    await s1.run("force-leave", "o1");
    await until("orchd's contradiction", () => joins() > before);
    await serfSees(s1, "o1", "alive");
  });

  test("memberlist's own numbers work with it as well as orchd's", async () => {
    const lab = aLab({ key: KEY, compress: true });
    const o1 = await lab.orchd("o1", { tuning: PRESETS.local });
    const s1 = await lab.serf("s1", [o1.advertised]);
    await serfSees(s1, "o1", "alive");
    s1.kill();
    await orchdSees(o1, "s1", "dead");
  });

  test("members that encrypt with different keys, but have both, hear each other", async () => {
    const lab = aLab({ compress: true });
    const folder = mkdtempSync(join(tmpdir(), "orchd-serf-"));
    try {
      const file = join(folder, "keyring.json");
      const keys = [OTHER_KEY, KEY].map((key) => Buffer.from(key).toString("base64"));
      writeFileSync(file, JSON.stringify(keys));
      const o1 = await lab.orchd("o1", { keyring: new Keyring(KEY, [OTHER_KEY]) });
      const s1 = await lab.serf("s1", [o1.advertised], [`-keyring-file=${file}`]);
      await serfSees(s1, "o1", "alive");
      await orchdSees(o1, "s1", "alive");
      expect(s1.complaints).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a serf with another key, or none, gets in nowhere and changes nothing", async () => {
    const lab = aLab({ key: KEY, compress: true });
    const o1 = await lab.orchd("o1");
    for (const key of [OTHER_KEY, undefined]) {
      const stranger = await aLab({ compress: true, ...(key && { key }) }).serf("s1");
      const { host, port } = o1.advertised;
      const failure = await stranger.run("join", `${host}:${port}`).catch(messageOf);
      expect(failure).toContain("Error joining");
      await until("the refusal", () => o1.traffic.refused.size > 0);
      expect(await o1.join([stranger.at])).toBe(0);
    }
    expect([...o1.traffic.refused.keys()].toSorted()).toEqual(["plaintext", "undecryptable"]);
    expect([...o1.members()].map(({ node }) => node)).toEqual(["o1"]);
  });
}
