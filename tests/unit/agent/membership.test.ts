import { afterEach, expect, test } from "bun:test";
import { Membership } from "../../../src/agent/membership.ts";
import { CLUSTER_TUNINGS } from "../../../src/core/gossip/tuning.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { GOSSIP_PRESETS, type GossipPreset } from "../../../src/model/gossip-preset.ts";
import { anId } from "../../builders.ts";
import { VirtualClock } from "../../sim/virtual-clock.ts";

const started: Membership[] = [];
afterEach(() => {
  for (const membership of started.splice(0)) membership.close();
});

/** How long a member that begins waits until it does something, in ms. */
async function firstWaitMs(preset?: GossipPreset): Promise<number> {
  const clock = new VirtualClock(0);
  const waits: number[] = [];
  const membership = await Membership.start({
    name: anId("n1"),
    tags: {},
    bind: { host: "127.0.0.1", port: 0 },
    address: "127.0.0.1",
    ...(preset && { preset }),
    gossipKeys: [Buffer.alloc(32, 7).toString("base64")],
    clock: {
      now: () => clock.now(),
      monotonicNow: () => clock.monotonicNow(),
      after(delayMs, run) {
        waits.push(delayMs);
        return clock.after(delayMs, run);
      },
    },
    random: seededRandom("phase"),
    log: silentLog,
    onChange: () => {},
    onNotice: () => {},
  });
  started.push(membership);
  return waits[0] ?? Number.NaN;
}

test("a member goes by the numbers that it was told, and by orchd's else", async () => {
  // It probes at a random moment of the first interval: the same share of it for one seed.
  const shares: number[] = [];
  for (const preset of GOSSIP_PRESETS) {
    shares.push((await firstWaitMs(preset)) / CLUSTER_TUNINGS[preset].probeIntervalMs);
  }
  shares.push((await firstWaitMs()) / CLUSTER_TUNINGS.orchd.probeIntervalMs);
  for (const share of shares) expect(share).toBeCloseTo(shares[0] ?? 0, 1);
});
