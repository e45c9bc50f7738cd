import { createSocket } from "node:dgram";

/*
 * `bun udp-end.ts serve PORT` answers each datagram. `bun udp-end.ts ask ADDRESS PORT CLIENTS` is
 * so many clients, each of which asks five times a second from one port while it lives, and
 * prints once a second how many of them have been answered since.
 */
const ASK_EVERY_MS = 200;
const PRINT_EVERY_MS = 1000;

const [role, ...words] = process.argv.slice(2);
if (role === "serve") serve(Number(words[0]));
else ask(words[0] ?? "", Number(words[1]), Number(words[2]));

function serve(port: number): void {
  const socket = createSocket("udp4");
  socket.on("message", (_, from) => socket.send("here", from.port, from.address));
  socket.on("error", () => undefined);
  socket.bind(port, () => console.log("ready"));
}

function ask(address: string, port: number, clients: number): void {
  const answered = new Set<number>();
  for (let client = 0; client < clients; client++) {
    const socket = createSocket("udp4");
    socket.on("message", () => answered.add(client));
    // Nobody may be there for a while.
    socket.on("error", () => undefined);
    setInterval(() => socket.send("anybody?", port, address), ASK_EVERY_MS);
  }
  setInterval(() => {
    console.log(answered.size);
    answered.clear();
  }, PRINT_EVERY_MS);
}
