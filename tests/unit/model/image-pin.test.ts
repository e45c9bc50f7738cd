import { describe, expect, test } from "bun:test";
import { pinOf, withPin } from "../../../src/model/image-pin.ts";
import { revise, undo } from "../../../src/model/revise.ts";
import {
  currentRevision,
  serviceSchema,
  specOf,
  type Service,
} from "../../../src/model/service.ts";
import { aContainer, aNode, aService } from "../../builders.ts";

const pin = (digit: string) => ({ id: digit, digest: `sha256:${digit.repeat(64)}` });
const node = aNode("n1");
const arm = aNode("n2", { platform: { os: "linux", arch: "arm64" } });
const scaled = (service: Service, replicas: number) =>
  revise(service, { ...specOf(service), replicas }, 5, []);
const changed = (service: Service, image: string) =>
  revise(service, { ...specOf(service), container: aContainer({ image }) }, 5, []);

describe("a revision's image", () => {
  test("is pinned once for each platform", () => {
    const once = withPin(aService(), 1, node, pin("1"));
    expect(withPin(once, 1, node, pin("2"))).toBe(once);
    const both = withPin(once, 1, arm, pin("3"));
    expect([pinOf(both, 1, node), pinOf(both, 1, arm)]).toEqual([pin("1"), pin("3")]);
    expect(serviceSchema.safeParse(both).success).toBe(true);
  });

  test("is that of the platform which the service names", () => {
    const service = aService({ container: aContainer({ platform: "linux/arm64" }) });
    const pinned = withPin(service, 1, node, pin("1"));
    expect(currentRevision(pinned).pins).toEqual({ "linux/arm64": pin("1") });
  });

  test("stays what it was in a revision that needs no new tasks, and only there", () => {
    const pinned = withPin(aService(), 1, node, pin("1"));
    expect(currentRevision(scaled(pinned, 4)).pins).toEqual(currentRevision(pinned).pins);
    expect(currentRevision(changed(pinned, "web:2")).pins).toBeUndefined();
  });

  test("is told to newer revisions of its template, when it is known late", () => {
    const service = withPin(scaled(aService(), 4), 1, node, pin("1"));
    expect([pinOf(service, 1, node), pinOf(service, 2, node)]).toEqual([pin("1"), pin("1")]);
    const after = withPin(changed(aService(), "web:2"), 1, node, pin("1"));
    expect([pinOf(after, 1, node), pinOf(after, 2, node)]).toEqual([pin("1"), undefined]);
  });

  test("goes back with its spec, whatever its tag names by now", () => {
    const second = changed(withPin(aService(), 1, node, pin("1")), "web:2");
    const first = second.revisions[1];
    if (first === undefined) throw new Error("the first revision is kept");
    const back = undo(second, first, { by: "person", why: "", now: 9, tasks: [] });
    expect([currentRevision(back).revision, pinOf(back, 3, node)]).toEqual([3, pin("1")]);
  });

  test("of a revision that is not kept is nobody's", () => {
    const service = aService();
    expect(withPin(service, 7, node, pin("1"))).toBe(service);
  });
});
