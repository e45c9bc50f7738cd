import { systemClock } from "../../src/lib/clock.ts";
import { discoverServers } from "../../src/net/discovery/discover.ts";
import { openResponder } from "../../src/net/discovery/responder.ts";

// One end of a search on a network of its own: `discovery-process.ts answer ADDRESS` answers until
// it is killed, `discovery-process.ts search` prints what it found.
const caDigest = "0".repeat(52);
const key = "the key";
const [role, address = ""] = process.argv.slice(2);

if (role === "answer") {
  const addresses = () => [address];
  await openResponder({ caDigest, keyOf: () => key, addresses, clock: systemClock });
  console.log("ready");
  setInterval(() => {}, 60_000);
} else {
  console.log(
    JSON.stringify(await discoverServers({ caDigest, key, timeoutMs: 2500, clock: systemClock })),
  );
}
