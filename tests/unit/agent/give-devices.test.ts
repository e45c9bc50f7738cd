import { describe, expect, test } from "bun:test";
import { withDevices } from "../../../src/agent/give-devices.ts";
import { ImagePlatforms } from "../../../src/agent/image-platforms.ts";
import { messageOf } from "../../../src/lib/errors.ts";
import type { NodeDevice } from "../../../src/model/device.ts";
import { aContainer, anAssignment } from "../../builders.ts";

const device = (id: string, path: string, aliases: string[] = []): NodeDevice => {
  return { id, kind: "serial", capabilities: [], path, aliases, exclusive: true };
};
const machine = {
  devices: [
    device("ftdi", "/dev/ttyUSB3", ["/dev/serial/by-id/ftdi"]),
    device("nvidia0", "/dev/nvidia0", ["0"]),
  ],
  deviceNodes: ["/dev/nvidiactl", "/dev/nvidia-uvm"],
};
const mappedOf = (ids: string[] | undefined, own: string[] = []) => {
  const devices = own.map((path) => ({ source: path, target: "/dev/modem", permissions: "rw" }));
  const given = ids === undefined ? {} : { devices: ids };
  const assignment = anAssignment("t", { container: aContainer({ devices }), ...given });
  return withDevices(assignment, machine).container.devices.map(
    ({ source, target }) => `${source}:${target}`,
  );
};

describe("a container", () => {
  test("gets a device where it is now, under its lasting name too", () => {
    expect(mappedOf(["ftdi"])).toEqual([
      "/dev/ttyUSB3:/dev/ttyUSB3",
      "/dev/ttyUSB3:/dev/serial/by-id/ftdi",
    ]);
  });

  test("gets what a card needs beside it", () => {
    expect(mappedOf(["nvidia0"])).toEqual([
      "/dev/nvidia0:/dev/nvidia0",
      "/dev/nvidiactl:/dev/nvidiactl",
      "/dev/nvidia-uvm:/dev/nvidia-uvm",
    ]);
  });

  test("that names a device itself gets it as it says", () => {
    expect(mappedOf(["ftdi"], ["/dev/serial/by-id/ftdi"])).toEqual([
      "/dev/serial/by-id/ftdi:/dev/modem",
    ]);
    expect(mappedOf(undefined)).toEqual([]);
  });

  test("is not made without a device that was pulled out", () => {
    expect(() => mappedOf(["gone"])).toThrow("the device gone is not on the node any more");
  });
});

describe("an image", () => {
  const images: Record<string, string> = {
    own: "linux/arm64",
    older: "linux/arm",
    foreign: "linux/amd64",
  };
  const aCheck = () => {
    const told: string[] = [];
    let looks = 0;
    const platforms = new ImagePlatforms({
      runtime: { imagePlatform: async (name) => (looks++, images[name]) },
      platform: { os: "linux", arch: "arm64" },
      onForeign: (foreign) => told.push(JSON.stringify(foreign)),
    });
    const verdict = (name: string) => platforms.check(name).then(() => "runs", messageOf);
    return { platforms, verdict, told, looks: () => looks };
  };

  test("runs where its processor is, or one that can do the same", async () => {
    const { verdict, told } = aCheck();
    expect(await Promise.all(["own", "older", "missing"].map(verdict))).toEqual(
      Array.from({ length: 3 }, () => "runs"),
    );
    expect(told).toEqual([]);
  });

  test("for another machine is refused and told of, until images come", async () => {
    const { platforms, verdict, told, looks } = aCheck();
    const refusal = "image foreign is for linux/amd64, and the node is linux/arm64";
    expect([await verdict("foreign"), await verdict("foreign")]).toEqual([refusal, refusal]);
    expect([told, looks()]).toEqual([['{"foreign":"linux/amd64"}'], 1]);
    platforms.forget();
    expect(told.at(-1)).toBe("{}");
  });
});
