import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OrchdError } from "../../../src/lib/errors.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { remove } from "../../../src/model/change.ts";
import { newestVersion } from "../../../src/model/item.ts";
import { Secrets } from "../../../src/server/vault/secrets.ts";
import { aContainer, aGrant, anAssignment } from "../../builders.ts";
import { FakeAgent } from "../api/fixture.ts";
import { Rig } from "./rig.ts";

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-courier-"));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

/** A server with one secret, and an agent that is connected. */
async function aServer() {
  const rig = new Rig();
  const agent = new FakeAgent("n1");
  const open = async () => {
    const options = { store: rig.store, clock: rig.clock, log: silentLog, dataDir: directory };
    const opening = Secrets.open({
      ...options,
      random: seededRandom("courier"),
      session: () => agent,
    });
    await rig.pass(100);
    return opening;
  };
  const secrets = await open();
  const people = secrets.forPeople();
  const upload = people.upload(new TextEncoder().encode("hunter2"));
  const made = people.create("secret", { name: "pass", upload, labels: {}, isTemplate: false });
  await Promise.all([made, rig.pass(100)]);
  const [item] = rig.store.view().items.values();
  if (item === undefined) throw new Error("there is no secret");
  const grant = aGrant(1, { name: "pass", content: { id: item.id, number: 1 } });
  const task = anAssignment("t", { container: aContainer({ grants: [grant] }) });
  /** The agent is handed these tasks. */
  const assign = async (tasks: (typeof task)[], by = secrets) => {
    by.courier.onAssigned(agent, { generation: 1, assignments: tasks });
    await rig.pass(2000);
  };
  return { rig, agent, secrets, people, item, task, assign, open };
}

describe("a node's contents", () => {
  test("are brought to the node whose task uses them, and no others", async () => {
    const { agent, task, assign } = await aServer();
    await assign([anAssignment("u")]);
    expect([...agent.contents]).toEqual([]);
    await assign([task]);
    expect(text(agent.contents.get(1))).toBe("hunter2");
  });

  test("are not brought for a task that is to end", async () => {
    const { agent, task, assign } = await aServer();
    await assign([{ ...task, desired: "shutdown" }]);
    expect([...agent.contents]).toEqual([]);
  });

  test("are not sent again to a node that has them", async () => {
    const { agent, task, assign } = await aServer();
    agent.contents.set(1, new TextEncoder().encode("its own"));
    await assign([task]);
    expect(text(agent.contents.get(1))).toBe("its own");
  });

  test("are sent again when the node had to forget them meanwhile", async () => {
    const { agent, task, assign } = await aServer();
    await assign([task]);
    await assign([]);
    agent.contents.clear();
    await assign([task]);
    expect(text(agent.contents.get(1))).toBe("hunter2");
  });

  test("are tried again while the node has no room for them", async () => {
    const { rig, agent, task, assign } = await aServer();
    agent.failure = new OrchdError("noSpace", "the disk is full", { retryable: true });
    await assign([task]);
    expect(agent.contents.size).toBe(0);
    agent.failure = undefined;
    await rig.pass(60_000);
    expect(text(agent.contents.get(1))).toBe("hunter2");
  });

  test("that were removed are told to be gone", async () => {
    const { rig, agent, item, task, assign } = await aServer();
    const content = rig.store.view().contents.get(`${item.id}.${newestVersion(item).number}`);
    if (content === undefined) throw new Error("it has a content");
    await rig.commit(remove.item(item), remove.content(content));
    await assign([task]);
    expect([...agent.contents]).toEqual([[1, undefined]]);
  });

  test("wait until the server is unlocked", async () => {
    const { rig, agent, people, task, assign, open, secrets } = await aServer();
    await during(rig, people.protect("a long passphrase"));
    secrets.close();
    const locked = await open();
    await assign([task], locked);
    expect(agent.contents.size).toBe(0);
    await during(rig, locked.forPeople().unlock("a long passphrase"));
    await rig.pass(2000);
    expect(text(agent.contents.get(1))).toBe("hunter2");
  });
});

/** A guess takes its time outside of the clock of the test, which has to go on all the same. */
async function during(rig: Rig, promise: Promise<void>): Promise<void> {
  let isOver = false;
  const over = promise.finally(() => (isOver = true));
  const step = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    await rig.pass(1);
    return isOver ? undefined : step();
  };
  await Promise.all([over, step()]);
}
