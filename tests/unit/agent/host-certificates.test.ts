import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HostCertificates } from "../../../src/agent/host-certificates.ts";
import { silentLog } from "../../../src/lib/log.ts";
import type { HostCertificatesRequest } from "../../../src/model/join.ts";
import { Authority, INGRESS_CERTIFICATE_MS, newAuthority } from "../../../src/pki/authority.ts";
import { checkCredentials } from "../../../src/pki/credentials.ts";
import { newKey, publicKeyOf } from "../../../src/pki/keys.ts";
import { newSealKey } from "../../../src/pki/seal.ts";
import { keyInRequest } from "../../../src/pki/request.ts";
import { failureOf, SkipClock, until } from "../net/ingress/rig.ts";

const authority = new Authority(await newAuthority());

let directory: string;
let clock: SkipClock;
let asked: HostCertificatesRequest[];
/** What the server does with a request. */
let isAway: boolean;
/** How often people were to look again. */
let told: number;
/** What people gave for hosts. */
let given: Map<string, { key: string; certificate: string; files: string }>;
const SEAL_KEY = newSealKey();
const undo: (() => void)[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "orchd-hosts-"));
  clock = new SkipClock();
  asked = [];
  isAway = false;
  told = 0;
  given = new Map();
});
afterEach(() => {
  for (const close of undo.splice(0)) close();
  rmSync(directory, { recursive: true });
});

function begin(): HostCertificates {
  const held = new HostCertificates({
    path: join(directory, "hosts.json"),
    sealKey: SEAL_KEY,
    clock,
    log: silentLog,
    certify: async (request) => {
      asked.push(request);
      if (isAway) throw new Error("away");
      const key = await keyInRequest(request.csr);
      const certificates = await Promise.all(
        request.hosts.map(async (host) => {
          const own = given.get(host);
          if (own !== undefined) {
            const { certificate, ...rest } = own;
            return { host, certificate, given: rest };
          }
          return { host, certificate: await authority.issueIngress(host, key, clock.now()) };
        }),
      );
      return { certificates };
    },
    onChange: () => void told++,
  });
  undo.push(() => held.close());
  return held;
}

describe("certificates for hosts", () => {
  test("are asked for once, of one key that stays on the node", async () => {
    const held = begin();
    held.want([{ host: "*.example.org" }, { host: "shop.example.com" }]);
    await until("they are there", () => held.certificateFor("shop.example.com") !== undefined);
    held.want([{ host: "*.example.org" }, { host: "shop.example.com" }]);
    expect(asked.map(({ hosts }) => hosts)).toEqual([["*.example.org", "shop.example.com"]]);
    const wild = held.certificateFor("a.example.org");
    const { key = "", certificate = "" } = wild ?? {};
    expect(new X509Certificate(certificate).checkHost("a.example.org")).toBe("*.example.org");
    expect(JSON.stringify(asked)).not.toContain("PRIVATE");
    expect(publicKeyOf(key).equals(new X509Certificate(certificate).publicKey)).toBe(true);
    expect(held.certificateFor("a.b.example.org")).toBeUndefined();
    expect(held.certificateFor("example.com")).toBeUndefined();
  });

  test("are there again after a start without a server, from a file for nobody else", async () => {
    const first = begin();
    first.want([{ host: "a.example" }]);
    await until("it is there", () => first.certificateFor("a.example") !== undefined);
    const path = join(directory, "hosts.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    isAway = true;
    const second = begin();
    const [kept, made] = [second, first].map((one) => one.certificateFor("a.example"));
    expect(kept?.certificate).toStartWith("-----BEGIN CERTIFICATE-----");
    expect(kept).toEqual(made);
    const damaged = readFileSync(path, "utf8").slice(0, 100);
    writeFileSync(path, damaged);
    expect(begin().certificateFor("a.example")).toBeUndefined();
  });

  test("are renewed at half of their life, while the old one is good", async () => {
    const held = begin();
    held.want([{ host: "a.example" }]);
    await until("it is there", () => held.certificateFor("a.example") !== undefined);
    const old = held.certificateFor("a.example");
    clock.skip(INGRESS_CERTIFICATE_MS / 2 - 7_200_000);
    held.want([]);
    held.want([{ host: "a.example" }]);
    expect(asked).toHaveLength(1);
    clock.skip(7_200_000);
    held.want([]);
    held.want([{ host: "a.example" }]);
    await until("there is another", () => held.certificateFor("a.example") !== old);
  });

  test("of the cluster that nobody renews are told of as well", async () => {
    const held = begin();
    held.want([{ host: "a.example" }]);
    await until("it is there", () => held.certificateFor("a.example") !== undefined);
    isAway = true;
    clock.skip(INGRESS_CERTIFICATE_MS - 86_400_000);
    expect(held.runningOut()).toEqual([
      expect.stringMatching(
        /^the certificate for a\.example runs out on .*no server has renewed it$/,
      ),
    ]);
  });

  test("are missing only once a server was asked in vain, and asked for again", async () => {
    isAway = true;
    const held = begin();
    held.want([{ host: "a.example" }]);
    expect(held.missing()).toEqual([]);
    await until("it is missed", () => held.missing().length > 0);
    isAway = false;
    await until("it is there", () => held.certificateFor("a.example") !== undefined);
    expect(held.missing()).toEqual([]);
  });
});

/** A certificate for a host with its key, as a person has them. */
async function give(host: string, files: string): Promise<string> {
  const key = await newKey();
  const certificate = await authority.issueIngress(host, publicKeyOf(key), clock.now());
  given.set(host, { key, certificate, files });
  return key;
}

describe("certificates that people gave", () => {
  const host = "a.example";

  test("come with their keys, which are on the disk for this node alone", async () => {
    const key = await give(host, "one");
    const held = begin();
    held.want([{ host, files: "one" }]);
    await until("it is there", () => held.certificateFor(host) !== undefined);
    expect(held.certificateFor(host)?.key).toBe(key);
    const [, line = ""] = key.split("\n");
    expect(readFileSync(join(directory, "hosts.json"), "utf8")).not.toContain(line);
    isAway = true;
    expect(begin().certificateFor(host)?.key).toBe(key);
  });

  test("are replaced when the files are others, and serve until then", async () => {
    const old = await give(host, "one");
    const held = begin();
    held.want([{ host, files: "one" }]);
    await until("it is there", () => held.certificateFor(host) !== undefined);
    isAway = true;
    held.want([{ host, files: "two" }]);
    await until("the new one is missed", () => held.missing().length > 0);
    expect(held.certificateFor(host)?.key).toBe(old);
    const key = await give(host, "two");
    isAway = false;
    await until("it is the new one", () => held.certificateFor(host)?.key === key);
    clock.skip(INGRESS_CERTIFICATE_MS);
    held.want([]);
    held.want([{ host, files: "two" }]);
    expect(held.missing()).toEqual([]);
  });

  test("are told of when they have little time left, until there is a newer one", async () => {
    await give(host, "one");
    const held = begin();
    held.want([{ host, files: "one" }]);
    await until("it is there", () => held.certificateFor(host) !== undefined);
    const day = new Date(clock.now() + INGRESS_CERTIFICATE_MS).toISOString().slice(0, 10);
    expect(held.runningOut()).toEqual([]);
    told = 0;
    clock.skip(INGRESS_CERTIFICATE_MS - 13 * 86_400_000);
    const what = `the certificate for ${host}`;
    expect(held.runningOut()).toEqual([`${what} runs out on ${day}: give its secret a newer one`]);
    // As once an hour: nothing is asked for, and people hear of it all the same.
    held.want([]);
    held.want([{ host, files: "one" }]);
    await until("people hear of it", () => told > 0);
    expect(asked).toHaveLength(1);
    clock.skip(13 * 86_400_000);
    expect(held.runningOut()).toEqual([`${what} ran out on ${day}: give its secret a newer one`]);
    await give(host, "two");
    held.want([{ host, files: "two" }]);
    await until("it is a newer one", () => held.runningOut().length === 0);
  });

  test("give way to one of the cluster when no file is named any more", async () => {
    const key = await give(host, "one");
    const held = begin();
    held.want([{ host, files: "one" }]);
    await until("it is there", () => held.certificateFor(host)?.key === key);
    given.clear();
    held.want([{ host }]);
    await until("it is the cluster's", () => held.certificateFor(host)?.key !== key);
  });
});

describe("a certificate", () => {
  const now = Date.now();

  test("that is not good with its key is refused with a sentence", async () => {
    const [key, other] = await Promise.all([newKey(), newKey()]);
    const certificate = await authority.issueIngress("a.example", publicKeyOf(key), now);
    const check = (over: object) => {
      const checked = checkCredentials({ key, certificate, host: "a.example", now, ...over });
      return "problem" in checked ? checked.problem : "good";
    };
    expect(check({})).toBe("good");
    expect(check({ key: other })).toBe(
      "the certificate for a.example does not fit its key: give the key that it was made for",
    );
    expect(check({ key: "x" })).toBe("the key for a.example can't be read");
    expect(check({ certificate: "x" })).toBe(
      "the certificate for a.example can't be read: it is to be PEM",
    );
    expect(check({ host: "b.example" })).toBe("the certificate for b.example is for other names");
    expect(check({ now: now + INGRESS_CERTIFICATE_MS + 1000 })).toBe(
      "the certificate for a.example ran out",
    );
  });

  test("of a wildcard is good for it", async () => {
    const key = await newKey();
    const certificate = await authority.issueIngress("*.a.example", publicKeyOf(key), now);
    const checked = checkCredentials({ key, certificate, host: "*.a.example", now });
    expect(checked).not.toHaveProperty("problem");
  });

  test("in the name of the cluster's servers is never made", async () => {
    const key = publicKeyOf(await newKey());
    expect(await failureOf(authority.issueIngress("*.orchd", key, now))).not.toBe("");
  });
});
