import { describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseResolvConf, ResolvConfFile } from "../../../../src/net/dns/resolv-conf.ts";

describe("/etc/resolv.conf", () => {
  test("tells name servers in order, once each, and domains", () => {
    const text = [
      "# made by somebody",
      "nameserver 192.0.2.53",
      "  nameserver\t2001:db8::53   ; the other one",
      "nameserver fe80::1%eth0",
      "nameserver 192.0.2.53",
      "nameserver dns.example.com",
      "nameserver",
      "domain example.net",
      "search example.com lan .",
      "options ndots:2",
    ].join("\n");
    expect(parseResolvConf(text)).toEqual({
      nameservers: ["192.0.2.53", "2001:db8::53", "fe80::1%eth0"],
      search: ["example.com", "lan"],
    });
  });

  test("the last of search and domain counts", () => {
    expect(parseResolvConf("search a b\ndomain c\n").search).toEqual(["c"]);
    expect(parseResolvConf("search a\nsearch\n").search).toEqual([]);
  });

  test("is read again when it is another one, also one that was put in its place", () => {
    const folder = mkdtempSync(join(tmpdir(), "orchd-resolv-"));
    try {
      const path = join(folder, "resolv.conf");
      let now = 0;
      const file = new ResolvConfFile(() => now, path);
      expect(file.current().nameservers).toEqual([]);
      writeFileSync(path, "nameserver 192.0.2.1\n");
      now += 5000;
      const first = file.current();
      expect(first.nameservers).toEqual(["192.0.2.1"]);
      now += 5000;
      expect(file.current()).toBe(first);
      writeFileSync(`${path}.new`, "nameserver 192.0.2.2\n");
      renameSync(`${path}.new`, path);
      expect(file.current()).toBe(first);
      now += 5000;
      expect(file.current().nameservers).toEqual(["192.0.2.2"]);
      rmSync(path);
      now += 5000;
      expect(file.current().nameservers).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
