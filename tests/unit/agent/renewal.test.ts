import { expect, test } from "bun:test";
import { Renewal } from "../../../src/agent/renewal.ts";
import { lineLog } from "../../../src/lib/log.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";
import { DAY_MS } from "../../pki.ts";

/** The log of the latest node. */
const said: string[] = [];

/** The days on which a node asks for a certificate; `refuses` says on which it gets none. */
async function daysOf(renewAfterMs: number, days: number, refuses = (_day: number) => false) {
  const clock = new VirtualClock(0);
  const asked: number[] = [];
  said.length = 0;
  const renewal = new Renewal({
    clock,
    log: lineLog(
      (line) => void said.push(line.trim()),
      () => "now",
    ),
    renew: async () => {
      const day = clock.now() / DAY_MS;
      asked.push(Math.round(day * 24) / 24);
      if (refuses(day)) throw new Error("no server is there");
    },
  });
  renewal.dueIn(renewAfterMs);
  await settled();
  while (await clock.step(days * DAY_MS));
  renewal.stop();
  return asked;
}

test("a certificate is renewed at half its life, and so is the next, in one session", async () => {
  expect(await daysOf(100 * DAY_MS, 500)).toEqual([100, 282.5, 465]);
});

test("a certificate that no server renews is asked for every hour", async () => {
  const asked = await daysOf(0, 1, (day) => day < 3 / 24);
  expect(asked.map((day) => Math.round(day * 24))).toEqual([0, 1, 2, 3]);
  expect(said).toEqual([
    "now warn  the certificate is renewed later: no server is there",
    "now info  the certificate is renewed",
  ]);
});
