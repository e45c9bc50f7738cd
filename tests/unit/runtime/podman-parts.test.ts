import { describe, expect, test } from "bun:test";
import type { OutputChunk } from "../../../src/runtime/podman/frames.ts";
import { FrameReader } from "../../../src/runtime/podman/frames.ts";
import { withPlainError } from "../../../src/runtime/podman/exec.ts";
import { qualifiedNameOf } from "../../../src/runtime/podman/images.ts";
import { isKillFor } from "../../../src/runtime/podman/kernel-log.ts";
import { parseEvent } from "../../../src/runtime/podman/podman-events.ts";
import { parseProcessLimits } from "../../../src/runtime/podman/process-limits.ts";
import { findService } from "../../../src/runtime/podman/service-process.ts";
import { planServiceFlags } from "../../../src/runtime/podman/service-flags.ts";
import { signalNumberOf } from "../../../src/runtime/podman/signals.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (chunks: OutputChunk[] | undefined) =>
  (chunks ?? []).map(({ stream, data }) => [stream, new TextDecoder().decode(data)]);

describe("the two outputs of a command on one connection", () => {
  const frame = (stream: number, text: string) => {
    const payload = encode(text);
    const header = new Uint8Array(8);
    header[0] = stream;
    new DataView(header.buffer).setUint32(4, payload.length);
    return [...header, ...payload];
  };

  test("come apart, wherever the pieces are cut", () => {
    const bytes = Uint8Array.from([...frame(1, "out"), ...frame(2, "err"), ...frame(1, "more")]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const frames = new FrameReader();
      const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)].flatMap(
        (piece) => frames.read(piece) ?? [],
      );
      const of = (stream: string) =>
        decode(pieces)
          .filter(([name]) => name === stream)
          .map(([, text]) => text)
          .join("");
      expect([of("stdout"), of("stderr")]).toEqual(["outmore", "err"]);
    }
  });

  test("a length of four gigabytes costs nothing, and nonsense is noticed", () => {
    const frames = new FrameReader();
    const header = Uint8Array.from([1, 0, 0, 0, 255, 255, 255, 255]);
    expect(frames.read(header)).toEqual([]);
    expect(decode(frames.read(encode("abc")))).toEqual([["stdout", "abc"]]);
    expect(new FrameReader().read(encode("<html>no frames"))).toBeUndefined();
  });

  test("a command that can't be run is one sentence, and all else is left as it is", () => {
    const plain = (text: string) =>
      decode([withPlainError({ stream: "stderr", data: encode(text) })]);
    const chain =
      "runc: exec failed: unable to start container process: " +
      'exec: "nope": executable file not found in $PATH: ' +
      "OCI runtime attempted to invoke a command that was not found";
    expect(plain(`Error: ${chain}\n`)).toEqual([
      ["stderr", 'the command "nope" was not found in the image\r\n'],
    ]);
    expect(plain("Error: read unixpacket @->/attach: read: connection reset by peer\n")).toEqual([
      ["stderr", ""],
    ]);
    expect(plain("Error: my own\n")).toEqual([["stderr", "Error: my own\n"]]);
  });
});

describe("flags for a service of our own", () => {
  const flagsOf = (machine: Parameters<typeof planServiceFlags>[0]) => {
    const plan = planServiceFlags(machine);
    return plan.ok ? plan.flags.slice(2).join(" ") : plan.problem;
  };

  test("follow the machine", () => {
    expect(flagsOf({ systemd: true, cgroups: "v2", runtimes: ["crun", "runc"] })).toBe("");
    expect(flagsOf({ systemd: true, cgroups: "v2", runtimes: ["runc"] })).toBe("--runtime runc");
    expect(flagsOf({ systemd: false, cgroups: "v2", runtimes: ["crun"] })).toBe(
      "--cgroup-manager cgroupfs",
    );
    expect(flagsOf({ systemd: false, cgroups: "hybrid", runtimes: ["crun", "runc"] })).toBe(
      "--cgroup-manager cgroupfs --runtime runc",
    );
    expect(flagsOf({ systemd: true, cgroups: "v1", runtimes: ["crun"] })).toBe("--runtime crun");
    expect(flagsOf({ systemd: true, cgroups: "v2", runtimes: [] })).toContain("apt install runc");
  });
});

test("a service is known by its socket alone, and is no other one's", async () => {
  const url = `unix:///run/orchd-test-${process.pid}.sock`;
  const child = Bun.spawn(["/bin/sh", "-c", "echo here; read line", "system", "service", url], {
    argv0: "podman",
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    // The kernel tells a program's words a moment after it has begun.
    await child.stdout.getReader().read();
    expect(findService(url.slice("unix://".length))).toBe(child.pid);
    expect(findService("/run/orchd-other.sock")).toBeUndefined();
    expect(findService()).not.toBe(child.pid);
  } finally {
    await child.stdin.end();
    await child.exited;
  }
});

describe("the limits of a process", () => {
  const limits = [
    "Limit                     Soft Limit           Hard Limit           Units     ",
    "Max processes             32768                32768                processes ",
    "Max open files            1024                 20000                files     ",
    "Max locked memory         8388608              unlimited            bytes     ",
  ].join("\n");

  test("bind its descendants when it may not raise them", () => {
    expect(parseProcessLimits(limits, "CapEff:\t000001fffeffffff\n", 1_048_576)).toEqual(
      new Map([
        ["NOFILE", 20_000],
        ["NPROC", 32_768],
      ]),
    );
  });

  test("do not matter when it may, except the kernel's own for open files", () => {
    expect(parseProcessLimits(limits, "CapEff:\t000001ffffffffff\n", 1_048_576)).toEqual(
      new Map([["NOFILE", 1_048_576]]),
    );
  });
});

describe("small things that Podman says and wants", () => {
  test("a name without a registry is Docker Hub's", () => {
    expect(qualifiedNameOf("nginx")).toBe("docker.io/library/nginx");
    expect(qualifiedNameOf("nginx:1.27")).toBe("docker.io/library/nginx:1.27");
    expect(qualifiedNameOf("grafana/grafana")).toBe("docker.io/grafana/grafana");
    expect(qualifiedNameOf("quay.io/a/b")).toBe("quay.io/a/b");
    expect(qualifiedNameOf("localhost/web:1")).toBe("localhost/web:1");
    expect(qualifiedNameOf("registry:5000/web")).toBe("registry:5000/web");
    expect(qualifiedNameOf("a".repeat(64))).toBe("a".repeat(64));
  });

  test("signals have numbers", () => {
    expect(
      ["SIGTERM", "term", "15", "SIGRTMIN", "RTMAX-1", "0", "65", "X"].map(signalNumberOf),
    ).toEqual([15, 15, 15, 34, 63, undefined, undefined, undefined]);
  });

  test("of Podman's events only those of our tasks that change something count", () => {
    const line = (Action: string, task = "tttttttttttt") =>
      JSON.stringify({ Action, Actor: { ID: "c1", Attributes: { "orchd.task": task } } });
    const told = { taskId: "tttttttttttt", containerId: "c1" };
    expect(parseEvent(line("start"))).toMatchObject({ type: "started", ...told });
    expect(parseEvent(line("died"))).toMatchObject({ type: "exited", ...told });
    expect(parseEvent(line("remove"))).toMatchObject({ type: "removed", ...told });
    expect(parseEvent(line("cleanup"))).toBeUndefined();
    expect(parseEvent(line("start", "../../etc"))).toBeUndefined();
    expect(parseEvent("{}")).toBeUndefined();
    expect(parseEvent("500 Internal")).toBeUndefined();
  });

  test("the kernel's word on memory is only about the container that it names", () => {
    const record =
      "6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/libpod_parent/libpod-abc,task=sh";
    expect(isKillFor(record, "abc")).toBe(true);
    expect(isKillFor(record, "def")).toBe(false);
    expect(isKillFor("6,1,2,-;started libpod-abc", "abc")).toBe(false);
  });
});
