import { describe, expect, test } from "bun:test";
import {
  backupsOfAssignment,
  volumesOfAssignment,
  volumesOfSlot,
  volumesOfTask,
} from "../../../src/model/task-volumes.ts";
import { specOf } from "../../../src/model/service.ts";
import type { VolumeBackup } from "../../../src/model/volume-backup.ts";
import {
  aContainer,
  anAssignment,
  anId,
  aNode,
  aService,
  aTask,
  aVolumeMount,
} from "../../builders.ts";

const node = aNode("n1", { hostname: "pi-1" });
const called = (...names: string[]) => aContainer({ mounts: names.map(aVolumeMount) });
const names = (mounts: readonly { volume: string }[]) => mounts.map(({ volume }) => volume);

describe("the volumes of a task", () => {
  const service = aService({
    labels: { tier: "gold" },
    container: called(
      "plain",
      "slot-{{.Task.Slot}}",
      "at-{{.Node.Hostname}}",
      "of-{{.Task.ID}}",
      '{{index .Service.Labels "tier"}}',
      "",
    ),
  });

  test("are called as they are on its node, and those without a name are left out", () => {
    const task = aTask(service, "t", { slot: "3@7" });
    const expected = ["plain", "slot-3", "at-pi-1", `of-${anId("t")}`, "gold"];
    expect(names(volumesOfTask(task, specOf(service), node))).toEqual(expected);
  });

  test("are those of its slot, but for what is called by the task", () => {
    const expected = ["plain", "slot-2", "at-pi-1", "gold"];
    expect(names(volumesOfSlot(service, "2", node))).toEqual(expected);
  });

  test("have their labels and options filled in as well", () => {
    const mount = { ...aVolumeMount("data"), labels: { of: "{{.Service.Name}}" } };
    const assignment = anAssignment("t", { container: aContainer({ mounts: [mount] }) });
    expect(volumesOfAssignment(assignment, node)).toEqual([
      { ...mount, labels: { of: "shop_web" } },
    ]);
  });

  test("are none whose name leads elsewhere, or can't be filled in", () => {
    const serviceLabels = { tier: "../../etc" };
    const container = called('{{index .Service.Labels "tier"}}', "{{.Nothing}}", "../x");
    const assignment = anAssignment("t", { container, serviceLabels });
    expect(volumesOfAssignment(assignment, node)).toEqual([]);
  });

  test("are backed up under these names", () => {
    const backup: VolumeBackup = {
      volume: "slot-{{.Task.Slot}}",
      cron: "0 3 * * *",
      timeZone: "UTC",
      keep: 2,
      how: "stop",
    };
    const backups = [backup, { ...backup, volume: "../up" }];
    const assignment = anAssignment("t", { slot: "4", backups });
    expect(names(backupsOfAssignment(assignment, node))).toEqual(["slot-4"]);
  });
});
