import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BindRules, withAllowedBinds } from "../../../src/agent/bind-rules.ts";
import type { Mount } from "../../../src/model/container.ts";
import { aContainer, anAssignment, aVolumeMount } from "../../builders.ts";

let dir: string;
beforeEach(() => {
  dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "orchd-binds-")));
  for (const name of ["srv/data", "etc", "orchd"])
    fs.mkdirSync(join(dir, name), { recursive: true });
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

const at = (path: string) => join(dir, path);
const aBind = (source: string): Mount => ({
  type: "bind",
  source,
  target: "/x",
  readOnly: false,
  createSource: true,
});

/** What a bind mount of this path becomes. */
function mounted(source: string, rules: Partial<BindRules>): Mount | undefined {
  const assignment = anAssignment("t", { container: aContainer({ mounts: [aBind(source)] }) });
  const all = { allowed: undefined, own: [at("orchd")], ...rules };
  return withAllowedBinds(assignment, all).container.mounts[0];
}

describe("a bind mount on a node without a list", () => {
  test("is what it was, wherever it leads", () => {
    fs.symlinkSync(at("etc"), at("srv/link"));
    for (const source of [at("etc"), at("srv/link"), at("not/there"), "/"]) {
      expect(mounted(source, {})).toEqual(aBind(source));
    }
  });

  test("is none of orchd's own directories, also by a link", () => {
    fs.symlinkSync(at("orchd"), at("srv/link"));
    for (const source of [at("orchd"), at("orchd/server.db"), at("srv/link/x")]) {
      expect(() => mounted(source, {})).toThrow("orchd's own");
    }
  });
});

describe("a bind mount on a node that lists what it gives", () => {
  const rules = () => ({ allowed: [at("srv")] });

  test("is in one of the listed directories, by its real path", () => {
    fs.symlinkSync(at("srv/data"), at("srv/link"));
    expect(mounted(at("srv"), rules())).toEqual(aBind(at("srv")));
    expect(mounted(at("srv/link"), rules())).toEqual(aBind(at("srv/data")));
    expect(mounted(at("srv/new/deep"), rules())).toEqual(aBind(at("srv/new/deep")));
  });

  test("is refused elsewhere, by whatever way it is written", () => {
    fs.symlinkSync(at("etc"), at("srv/link"));
    fs.symlinkSync("..", at("srv/up"));
    for (const source of [
      at("etc"),
      at("srv/link"),
      at("srv/link/shadow"),
      at("srv/up/etc"),
      `${at("srv")}/../etc`,
      at("srv-too"),
      "/",
      "/proc/self/root",
    ]) {
      expect(() => mounted(source, rules())).toThrow("may not be mounted on this node");
    }
  });

  test("is refused everywhere where the list is empty", () => {
    expect(() => mounted(at("srv"), { allowed: [] })).toThrow("names none");
  });

  test("is one of orchd's own only where that is named expressly", () => {
    expect(() => mounted(at("orchd"), { allowed: ["/"] })).toThrow("orchd's own");
    const expressly = { allowed: [at("orchd")] };
    expect(mounted(at("orchd"), expressly)).toEqual(aBind(at("orchd")));
  });

  test("is refused as a volume that binds a directory as well", () => {
    const volume = (device: string): Mount => ({
      type: "volume",
      volume: "data",
      target: "/x",
      readOnly: false,
      noCopy: false,
      external: false,
      driverOptions: { type: "none", o: "bind", device },
      labels: {},
    });
    const check = (device: string) => {
      const container = aContainer({ mounts: [volume(device)] });
      return withAllowedBinds(anAssignment("t", { container }), { ...rules(), own: [] });
    };
    expect(() => check(at("etc"))).toThrow("may not be mounted");
    expect(check(at("srv/data")).container.mounts).toEqual([volume(at("srv/data"))]);
  });

  describe("is refused as a volume", () => {
    const of = (driverOptions: Record<string, string>, allowed = [at("srv")]) => {
      const mounts = [{ ...aVolumeMount("data"), driverOptions }];
      const assignment = anAssignment("t", { container: aContainer({ mounts }) });
      return withAllowedBinds(assignment, { allowed, own: [at("orchd")] }).container.mounts;
    };
    const layers = () => `lowerdir=${at("srv")}:${at("etc")},upperdir=${at("srv/data")}`;
    const refused: [string, () => Record<string, string>][] = [
      ["that lays a directory over others", () => ({ type: "overlay", o: layers() })],
      ["of what a device holds", () => ({ type: "ext4", device: "/dev/sda1" })],
      ["that binds all that is below", () => ({ o: `ro, rbind`, device: at("etc") })],
      ["that binds through a link", () => ({ type: "none", o: "bind", device: at("srv/link") })],
    ];
    for (const [what, options] of refused) {
      test(what, () => {
        fs.symlinkSync(at("etc"), at("srv/link"));
        expect(() => of(options())).toThrow("may not be mounted on this node");
      });
    }

    test("whose path depends on where the runtime was started", () => {
      for (const device of ["etc", "../etc"]) {
        expect(() => of({ type: "none", o: "bind", device })).toThrow("use an absolute path");
      }
      expect(() => of({ type: "overlay", o: "lowerdir=etc" })).toThrow("use an absolute path");
    });

    test("unless it is in memory, or of another machine", () => {
      for (const options of [
        { type: "tmpfs", device: "tmpfs", o: "size=1m" },
        { type: "nfs", device: ":/export", o: "addr=10.0.0.1" },
        { type: "cifs", device: "//10.0.0.1/share", o: "guest" },
      ]) {
        expect(of(options)).toMatchObject([{ driverOptions: options }]);
      }
    });
  });
});
