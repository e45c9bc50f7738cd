import * as http from "node:http";
import * as https from "node:https";
import { TLSSocket } from "node:tls";

/*
 * `visit.ts URL HOST PER-SECOND`: asks this address for a host's page, so often whatever the
 * answers, each within five seconds, over connections that are kept, until its input ends; with 0
 * it asks once. Prints `failed WHY` for each answer that is not 200, `certificate NAME` where the
 * server showed one, and last `asked NUMBER`.
 */
const ANSWER_WITHIN_MS = 5000;
const TURN_MS = 10;

const [address = "", host = "", perSecond = "1"] = process.argv.slice(2);
const { protocol, hostname, port, pathname } = new URL(address);
const isSecure = protocol === "https:";
const options = { keepAlive: true, maxSockets: 64 };
const agent = isSecure ? new https.Agent(options) : new http.Agent(options);
const certificates = new Set<string>();
const began = performance.now();
let asked = 0;
let open = 0;

visit();
const timer = setInterval(() => {
  const due = ((performance.now() - began) / 1000) * Number(perSecond);
  while (asked < due) visit();
}, TURN_MS);
if (Number(perSecond) === 0) end();
else process.stdin.resume().on("end", end);

/** Waits for what is open, and tells how it was. */
function end(): void {
  clearInterval(timer);
  const wait = setInterval(() => {
    if (open > 0) return;
    clearInterval(wait);
    for (const name of certificates) console.log(`certificate ${name}`);
    console.log(`asked ${asked}`);
    process.exit(0);
  }, TURN_MS);
}

function visit(): void {
  asked += 1;
  open += 1;
  const ask = {
    agent,
    hostname,
    port,
    path: pathname,
    headers: { host },
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    // Who it is, is told instead of checked: the cluster's authority is nobody's yet.
    ...(isSecure ? { servername: host, rejectUnauthorized: false } : {}),
  };
  let isOver = false;
  const over = (why: string) => {
    if (isOver) return;
    isOver = true;
    open -= 1;
    if (why !== "200") console.log(`failed ${why}`);
  };
  const request = (isSecure ? https : http).request(ask, (response) => {
    if (response.socket instanceof TLSSocket) {
      certificates.add(String(response.socket.getPeerCertificate().subject.CN));
    }
    response.resume();
    response.on("end", () => over(String(response.statusCode)));
    response.on("error", ({ message }) => over(message));
  });
  request.on("error", ({ message }) => over(message));
  request.end();
}
