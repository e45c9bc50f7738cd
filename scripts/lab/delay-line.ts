import { dlopen } from "bun:ffi";
import { constants, openSync, writeSync } from "node:fs";

/*
 * `bun delay-line.ts NEAR FAR`: a cable whose length can be set, as the kernel's netem is not
 * everywhere. It makes two TAP devices and carries each frame from one to the other, in order, as
 * many milliseconds later as the last line of its standard input says. It ends with its input.
 */

/** The numbers of Linux's `if_tun.h` and `poll.h`. */
const TUNSETIFF = 0x400454ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const POLLIN = 0x001;
const POLLHUP = 0x010;

const FRAME_BYTES_MAX = 65_535;
/** What is under way at once; more is lost, as in any queue. */
const FRAMES_MAX = 10_000;
const FOREVER = -1;

const { symbols: libc } = dlopen("libc.so.6", {
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: "i64" },
});

interface Frame {
  dueAt: number;
  bytes: Uint8Array;
}

/** One way of the cable. */
interface Way {
  from: number;
  to: number;
  frames: Frame[];
}

const [near = "", far = ""] = process.argv.slice(2);
const buffer = new Uint8Array(FRAME_BYTES_MAX);
let delayMs = 0;
run(openTap(near), openTap(far));

function openTap(name: string): number {
  const fd = openSync("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK);
  // A `struct ifreq`: a name of 16 bytes, then the flags.
  const request = new Uint8Array(40);
  request.set(new TextEncoder().encode(name));
  new DataView(request.buffer).setUint16(16, IFF_TAP | IFF_NO_PI, true);
  if (libc.ioctl(fd, TUNSETIFF, request) !== 0) throw new Error(`no TAP device ${name}`);
  return fd;
}

function run(a: number, b: number): void {
  const ways: Way[] = [
    { from: a, to: b, frames: [] },
    { from: b, to: a, frames: [] },
  ];
  // Each a `struct pollfd`: the descriptor, the events asked for, those that came.
  const memory = new Uint8Array(24);
  const asked = new DataView(memory.buffer);
  const watched = [0, a, b];
  watched.forEach((fd, i) => {
    asked.setInt32(i * 8, fd, true);
    asked.setInt16(i * 8 + 4, POLLIN, true);
  });
  const came = (i: number) => asked.getInt16(i * 8 + 6, true);
  console.log("ready");
  for (;;) {
    libc.poll(memory, watched.length, untilNext(ways));
    if ((came(0) & (POLLIN | POLLHUP)) !== 0 && !readDelay()) return;
    ways.forEach((way, i) => {
      if ((came(i + 1) & POLLIN) !== 0) takeFrames(way);
      sendDue(way);
    });
  }
}

function untilNext(ways: readonly Way[]): number {
  const next = Math.min(...ways.map((way) => way.frames[0]?.dueAt ?? Infinity));
  return next === Infinity ? FOREVER : Math.max(0, Math.ceil(next - performance.now()));
}

/** @returns whether there is more to come */
function readDelay(): boolean {
  const length = Number(libc.read(0, buffer, buffer.length));
  if (length <= 0) return false;
  delayMs = Number(new TextDecoder().decode(buffer.subarray(0, length)).trim().split("\n").at(-1));
  return true;
}

function takeFrames(way: Way): void {
  for (;;) {
    const length = Number(libc.read(way.from, buffer, buffer.length));
    if (length <= 0) return;
    if (way.frames.length >= FRAMES_MAX) continue;
    const dueAt = Math.max(performance.now() + delayMs, way.frames.at(-1)?.dueAt ?? 0);
    way.frames.push({ dueAt, bytes: buffer.slice(0, length) });
  }
}

function sendDue(way: Way): void {
  const now = performance.now();
  while (way.frames[0] !== undefined && way.frames[0].dueAt <= now) {
    const frame = way.frames.shift();
    try {
      if (frame !== undefined) writeSync(way.to, frame.bytes);
    } catch {
      // The device is down: a frame that leads nowhere is lost.
    }
  }
}
