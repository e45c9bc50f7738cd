import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BindRules, withAllowedBinds } from "../../../src/agent/bind-rules.ts";
import type { Mount } from "../../../src/model/container.ts";
import { aContainer, anAssignment } from "../../builders.ts";

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
});
