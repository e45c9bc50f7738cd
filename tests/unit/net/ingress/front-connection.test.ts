import { expect, test } from "bun:test";
import { VirtualClock } from "../../../sim/virtual-clock.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import { Proxy } from "../../../../src/net/ingress/proxy.ts";
import type { Wire, WireHandler } from "../../../../src/net/ingress/wire.ts";

/** A connection whose other side reads when a test says so. */
class SlowWire implements Wire {
  readonly remoteAddress = "192.0.2.7";
  waiting = 0;
  isEnded = false;
  isClosed = false;

  constructor(readonly handler: WireHandler) {}

  write(bytes: Uint8Array): boolean {
    this.waiting += bytes.length;
    return false;
  }

  read(count: number): void {
    this.waiting = Math.max(0, this.waiting - count);
    if (this.waiting === 0) this.handler.onDrain();
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    this.isClosed = true;
    this.handler.onClose();
  }

  pause(): void {}
  resume(): void {}
}

function aClient() {
  const clock = new VirtualClock(0);
  const proxy = new Proxy({ clock, random: seededRandom("slow") });
  let wire: SlowWire | undefined;
  proxy.accept(false, (handler) => (wire = new SlowWire(handler)));
  if (wire === undefined) throw new Error("no connection was made");
  wire.handler.onData(Buffer.from("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  const pass = async (ms: number) => {
    for (const until = clock.now() + ms; await clock.step(until););
  };
  return { pass, wire };
}

test("a client that takes its last answer slowly has the time for it", async () => {
  const { pass, wire } = aClient();
  expect([wire.waiting > 100, wire.isEnded, wire.isClosed]).toEqual([true, true, false]);
  for (let i = 0; i < 5; i++) {
    await pass(50_000);
    wire.read(10);
  }
  await pass(50_000);
  expect(wire.isClosed).toBe(false);
  wire.read(1000);
  await pass(2000);
  expect(wire.isClosed).toBe(false);
  await pass(2000);
  expect(wire.isClosed).toBe(true);
});

test("a client that takes nothing of its answer for a minute is gone", async () => {
  const { pass, wire } = aClient();
  await pass(59_000);
  expect(wire.isClosed).toBe(false);
  await pass(2000);
  expect(wire.isClosed).toBe(true);
});
