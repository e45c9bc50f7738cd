import { describe, expect, test } from "bun:test";
import { giveDevices } from "../../../../src/core/scheduler/devices.ts";
import { schedule } from "../../../../src/core/scheduler/schedule.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { DeviceRequest, NodeDevice } from "../../../../src/model/device.ts";
import type { Node } from "../../../../src/model/node.ts";
import { aContainer, aNode, aPendingTask, aService, aSpec, aTask } from "../../../builders.ts";
import { aView, anId, reserving } from "../../../builders.ts";

const serial = (name: string, port: number): NodeDevice => ({
  id: name,
  kind: "serial",
  capabilities: [],
  path: `/dev/ttyUSB${port}`,
  aliases: [`/dev/serial/by-id/${name}`],
  exclusive: true,
});
const gpu = (id: string, capabilities: string[], aliases: string[] = []): NodeDevice => {
  return { id, kind: "gpu", capabilities, path: `/dev/${id}`, aliases, exclusive: false };
};
const devices = [
  serial("ftdi", 0),
  serial("lora", 1),
  gpu("nvidia0", ["nvidia"], ["0"]),
  gpu("nvidia1", ["nvidia"], ["1"]),
  gpu("dri/renderD128", ["dri", "i915"]),
];
const node = aNode("n1", { devices, deviceNodes: ["/dev/fuse", "/dev/snd/pcmC0D0p"] });

const mapping = (...paths: string[]) =>
  aContainer({ devices: paths.map((path) => ({ source: path, target: path, permissions: "rw" })) });
const asking = (...requests: Partial<DeviceRequest>[]) => {
  const { limits, reservations } = reserving(0);
  const asked = requests.map((one) => ({ capabilities: [], count: 1, ...one }));
  return { limits, reservations: { ...reservations, devices: asked } };
};

/** What a task gets, with `held` in the hands of others; the reason where it gets nothing. */
function given(spec: Parameters<typeof aSpec>[0], held: string[] = [], on: Node = node) {
  const load = { devices: new Map(held.map((id) => [id, 1])) };
  const gift = giveDevices(aSpec(spec), on, load);
  return "ids" in gift ? gift.ids.join(" ") : gift.reason;
}

describe("a task that names a device", () => {
  test("gets it by its path or by the name that lasts", () => {
    expect(given({ container: mapping("/dev/ttyUSB1") })).toBe("lora");
    expect(given({ container: mapping("/dev/serial/by-id/ftdi") })).toBe("ftdi");
  });

  test("does not fit where it is not, and fits where that can't be known", () => {
    const container = mapping("/dev/ttyUSB7");
    expect(given({ container })).toBe("has no device /dev/ttyUSB7");
    expect(given({ container }, [], aNode("n2"))).toBe("");
  });

  test("waits while another task has it, by whatever name", () => {
    const container = mapping("/dev/serial/by-id/ftdi");
    expect(given({ container }, ["ftdi"])).toBe(
      "has /dev/serial/by-id/ftdi in use by another task",
    );
    expect(given({ container: mapping("/dev/ttyUSB0", "/dev/serial/by-id/ftdi") })).toBe("ftdi");
  });

  test("fits with directories of devices, and with what each machine has", () => {
    expect(given({ container: mapping("/dev/snd", "/dev/fuse", "/dev/tty1", "/dev/null") })).toBe(
      "",
    );
    expect(given({ container: mapping("/dev/dri") })).toBe("dri/renderD128");
    expect(given({ container: mapping("/dev/sn") })).toBe("has no device /dev/sn");
  });
});

describe("a task that asks for a kind of device", () => {
  test("gets one that is free, and no more than there are", () => {
    const one = { resources: asking({ capabilities: [["serial"]] }) };
    expect(given(one)).toBe("ftdi");
    expect(given(one, ["ftdi"])).toBe("lora");
    expect(given(one, ["ftdi", "lora"])).toBe("has 0 of 2 serial devices free, not 1");
    expect(given({ resources: asking({ capabilities: [["serial"]], count: 3 }) })).toBe(
      "has 2 serial devices instead of 3",
    );
    expect(given({ resources: asking({ capabilities: [["camera"]] }) })).toBe(
      "has no camera device",
    );
  });

  test("gets those that can do all of one set, and work with the driver", () => {
    const cards = { capabilities: [["gpu", "dri"]], count: "all" as const };
    expect(given({ resources: asking(cards) })).toBe("dri/renderD128");
    const nvidia = { driver: "nvidia", capabilities: [["gpu"]], count: "all" as const };
    expect(given({ resources: asking(nvidia) })).toBe("nvidia0 nvidia1");
    expect(given({ resources: asking({ driver: "amdgpu", capabilities: [["gpu"]] }) })).toBe(
      "has no amdgpu gpu device",
    );
  });

  test("gets the ones that it names, before others of it take any", () => {
    const any = { capabilities: [["serial"]] };
    const certain = { capabilities: [["serial"]], ids: ["/dev/ttyUSB0"] };
    expect(given({ resources: asking(any, certain) })).toBe("ftdi lora");
    expect(given({ resources: asking({ ids: ["1"] }) })).toBe("nvidia1");
    expect(given({ resources: asking({ ids: ["ftdi"], capabilities: [["gpu"]] }) })).toBe(
      "has ftdi, which is no gpu device",
    );
    expect(given({ resources: asking({ ids: ["gone"] }) })).toBe("has no device gone");
  });

  test("shares what can be shared, the least used first", () => {
    const one = { resources: asking({ driver: "nvidia", capabilities: [["gpu"]] }) };
    expect(given(one, ["nvidia0"])).toBe("nvidia1");
    expect(given(one, ["nvidia0", "nvidia1"])).toBe("nvidia0");
  });
});

test("a round gives an exclusive device to one task, which keeps it until its end is known", () => {
  const service = aService({ resources: asking({ capabilities: [["serial"]] }) });
  const ending = aTask(service, "old", { slot: "9", desired: "shutdown", devices: ["lora"] });
  const tasks = ["1", "2"].map((slot) => aPendingTask(service, `p${slot}`, { slot }));
  const view = aView({ nodes: [node], services: [service], tasks: [ending, ...tasks] });
  const { placements, unplaced } = schedule(view, tasks, seededRandom("s"));
  expect(placements.map((one) => one.devices)).toEqual([["ftdi"]]);
  expect(unplaced.map((one) => one.message)).toEqual([
    "no node fits: 1 node has 0 of 2 serial devices free, not 1",
  ]);
});

test("a task follows its device to another node, and waits for a node that is only down", () => {
  const service = {
    ...aService({ container: mapping("/dev/ttyUSB0") }),
    homes: { 1: anId<"node">("n2") },
  };
  const task = aPendingTask(service, "p");
  const placed = (old: Node) => {
    const view = aView({ nodes: [node, old], services: [service], tasks: [task] });
    const { placements, unplaced } = schedule(view, [task], seededRandom("s"));
    return [...placements.map(({ nodeId }) => nodeId), ...unplaced.map(({ message }) => message)];
  };
  expect(placed(aNode("n2", { devices: [], deviceNodes: [] }))).toEqual([anId("n1")]);
  expect(placed(aNode("n2", { ...node, ...aNode("n2"), devices, health: "down" }))).toEqual([
    "waits for node n2, which is down: its device is there",
  ]);
});
