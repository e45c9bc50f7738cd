import { connect } from "node:net";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";

/*
 * Knocks as clients would: asks the addresses `HOST:PORT` of the last line of its input for their
 * page, one after the other, each time over a new connection. Prints `failed HOST:PORT AT WHY` for
 * each that gave none, with the Unix time in ms at which it was asked and why, and at the end of
 * its input `asked NUMBER`.
 */
const TURN_MS = 25;
/** A page takes some milliseconds; who has none by then has been let down. */
const ANSWER_WITHIN_MS = 1000;

let targets: string[] = [];
let asked = 0;
const timer = setInterval(() => {
  const target = targets[asked % targets.length];
  if (target === undefined) return;
  asked += 1;
  knock(target);
}, TURN_MS);
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => (targets = line.split(" ").filter((word) => word !== "")));
lines.on("close", () => {
  clearInterval(timer);
  setTimeout(() => console.log(`asked ${asked}`), ANSWER_WITHIN_MS);
});
console.log("ready");

function knock(target: string): void {
  const [host = "", port = ""] = target.split(":");
  const at = Math.round(performance.timeOrigin + performance.now());
  let page = "";
  let why = "closed";
  const socket = connect({ host, port: Number(port) });
  const late = setTimeout(() => {
    why = socket.connecting ? "no connection" : "no page";
    socket.destroy();
  }, ANSWER_WITHIN_MS);
  socket.setEncoding("latin1").on("data", (text: string) => (page += text));
  socket.on("error", ({ message }) => (why = message));
  socket.on("close", () => {
    clearTimeout(late);
    if (!/^HTTP\/1\.\d 200 /.test(page)) console.log(`failed ${target} ${at} ${why}`);
  });
  socket.write("GET / HTTP/1.0\r\n\r\n");
}
