import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DeviceWatch } from "../../../src/agent/device-watch.ts";
import { findDevices } from "../../../src/agent/find-devices.ts";
import { VirtualClock } from "../../sim/virtual-clock.ts";
import { settled } from "../../sim/virtual-clock.ts";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "orchd-devices-"));
});
afterEach(() => rm(root, { recursive: true }));

async function place(path: string, text = ""): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

async function link(path: string, target: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await symlink(target, join(root, path));
}

/** Devices can't be made without rights: here every file counts as one. */
const find = () => findDevices(root, (stats) => stats.isFile());

test("a machine's devices are found, each with what it is and can do", async () => {
  for (const name of ["ttyUSB0", "ttyAMA0", "gpiochip0", "i2c-1", "video0", "media0", "nvidia0"]) {
    await place(`dev/${name}`);
  }
  await place("dev/dri/renderD128");
  await place("dev/dri/card0");
  await place("sys/class/drm/renderD128/device/uevent", "DRIVER=v3d\nOF_NAME=v3d\n");
  await link("dev/serial/by-id/usb-FTDI_A5-if00-port0", "../../ttyUSB0");
  await link("dev/v4l/by-id/usb-046d_HD-video-index0", "../../video0");
  const { devices } = await find();
  const lines = devices.map(({ id, kind, capabilities, path, exclusive }) =>
    [id, kind, path, capabilities.join("+") || "-", exclusive ? "exclusive" : "shared"].join(" "),
  );
  expect(lines).toEqual([
    "renderD128 gpu /dev/dri/renderD128 dri+v3d shared",
    "gpiochip0 gpio /dev/gpiochip0 - exclusive",
    "i2c-1 i2c /dev/i2c-1 - shared",
    "media0 camera /dev/media0 media exclusive",
    "nvidia0 gpu /dev/nvidia0 nvidia+compute+utility+video+graphics shared",
    "ttyAMA0 serial /dev/ttyAMA0 - exclusive",
    "usb-FTDI_A5-if00-port0 serial /dev/ttyUSB0 - exclusive",
    "usb-046d_HD-video-index0 camera /dev/video0 video exclusive",
  ]);
  expect(devices.flatMap(({ aliases }) => aliases ?? [])).toEqual([
    "0",
    "/dev/serial/by-id/usb-FTDI_A5-if00-port0",
    "/dev/v4l/by-id/usb-046d_HD-video-index0",
  ]);
});

test("other devices are told by their paths, but for those that each machine has", async () => {
  for (const name of ["fuse", "net/tun", "tty3", "null", "loop0", "pts/0", "shm/x", "a/b/c/d/e"]) {
    await place(`dev/${name}`);
  }
  await link("dev/rtc", "fuse");
  await link("dev/dangling", "nothing");
  await link("dev/fd", "/proc/self/fd");
  const { devices, deviceNodes } = await find();
  expect(devices).toEqual([]);
  expect(deviceNodes).toEqual(["/dev/fuse", "/dev/net/tun", "/dev/rtc"]);
});

test("a machine without /dev has nothing", async () => {
  expect(await find()).toEqual({ devices: [], deviceNodes: [] });
});

test("a stick that is put in, or pulled out, is told of once", async () => {
  const clock = new VirtualClock(0);
  const found: string[] = [];
  const names = [["a"], ["a"], ["a", "b"], ["a", "b"], ["b"]];
  let looks = 0;
  const look = async () => ({ devices: [], deviceNodes: names[looks++] ?? [] });
  const watch = await DeviceWatch.begin(clock, root, look);
  watch.watch(({ deviceNodes }) => found.push(deviceNodes.join("+")));
  while (looks < names.length) {
    await settled();
    await clock.step(Number.MAX_SAFE_INTEGER);
  }
  await settled();
  watch.close();
  expect(found).toEqual(["a+b", "b"]);
  expect(watch.found.deviceNodes).toEqual(["b"]);
});
