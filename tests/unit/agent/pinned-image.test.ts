import { describe, expect, test } from "bun:test";
import { findPin, findPinned } from "../../../src/agent/pinned-image.ts";
import { messageOf } from "../../../src/lib/errors.ts";
import type { PullPolicy } from "../../../src/model/container.ts";
import type { ImageIdentity } from "../../../src/runtime/driver.ts";
import { aContainer, anAssignment } from "../../builders.ts";

const [first, second] = [`sha256:${"1".repeat(64)}`, `sha256:${"2".repeat(64)}`];
const pin = { id: "old", digest: first };

/** A node that holds these images, by name; what it pulls is written down. */
function aNodeWith(
  images: Record<string, ImageIdentity>,
  pullPolicy: PullPolicy = "missing",
  isAtSite = false,
) {
  const pulled: string[] = [];
  const runtime = { imageIdentity: async (name: string) => images[name] };
  const container = aContainer({ image: "registry.invalid:5000/web:1", pullPolicy });
  const assignment = anAssignment("t", { container });
  const ways = {
    fetch: async (name: string) => isAtSite && pulled.push(`site ${name}`) > 0,
    pull: async (name: string) => void pulled.push(name),
  };
  const find = () => findPinned(runtime, assignment, pin, ways);
  return { find, pulled, runtime, assignment };
}
const TAG = "registry.invalid:5000/web:1";
const EXACT = `registry.invalid:5000/web@${first}`;

describe("a task's image", () => {
  test("is told by what its registry calls it, the most general name first", async () => {
    const { runtime, assignment } = aNodeWith({ [TAG]: { id: "old", digests: [first, second] } });
    expect(await findPin(runtime, assignment)).toEqual({ id: "old", digest: first });
  });

  test("that no registry has is not told: nobody could fetch it", async () => {
    const { runtime, assignment } = aNodeWith({ [TAG]: { id: "old", digests: [] } });
    expect(await findPin(runtime, assignment)).toBeUndefined();
    expect(await findPin(aNodeWith({}).runtime, assignment)).toBeUndefined();
  });
});

describe("a task that is pinned gets", () => {
  test("what its tag names here, where that is it by digest or by content", async () => {
    const byDigest = aNodeWith({ [TAG]: { id: "another arch", digests: [second, first] } });
    expect([await byDigest.find(), byDigest.pulled]).toEqual([TAG, []]);
    const byContent = aNodeWith({ [TAG]: { id: "old", digests: [] } });
    expect([await byContent.find(), byContent.pulled]).toEqual([TAG, []]);
  });

  test("the image itself where the tag has gone on to another one", async () => {
    const moved = { [TAG]: { id: "new", digests: [second] }, old: { id: "old", digests: [] } };
    const node = aNodeWith(moved, "always");
    expect([await node.find(), node.pulled]).toEqual(["old", []]);
  });

  test("what the registry has under the digest, where it is not here", async () => {
    const node = aNodeWith({ [TAG]: { id: "new", digests: [second] } });
    expect([await node.find(), node.pulled]).toEqual([EXACT, [EXACT]]);
  });

  test("what was fetched so before", async () => {
    const node = aNodeWith({ [EXACT]: { id: "x", digests: [first] } });
    expect([await node.find(), node.pulled]).toEqual([EXACT, []]);
  });

  test("nothing where it may fetch nothing, and a sentence that says what to do", async () => {
    const node = aNodeWith({ [TAG]: { id: "new", digests: [second] } }, "never");
    const error: unknown = await node.find().catch((reason: unknown) => reason);
    expect(messageOf(error)).toBe(
      `image ${TAG} of this revision is ${first}, which is not on this node: load that one here, ` +
        "or restart the service to begin with another",
    );
    expect(node.pulled).toEqual([]);
  });

  test("what the site has, also where it may ask no registry", async () => {
    const node = aNodeWith({}, "never", true);
    expect([await node.find(), node.pulled]).toEqual([EXACT, [`site ${EXACT}`]]);
  });
});
