import { performance } from "node:perf_hooks";

/*
 * `bun connects.ts ADDRESS COUNT` connects so often to port 8080 of an address that the machine's
 * rules lead to itself, one after the other, and prints the microseconds of one connection.
 */
const [address = "", count = "0"] = argv.slice(2);
await run(address, Number(count));

async function run(hostname: string, times: number): Promise<void> {
  const server = Bun.listen({
    hostname: "0.0.0.0",
    port: 8080,
    socket: { data() {}, open: (socket) => void socket.end() },
  });
  const start = performance.now();
  for (let i = 0; i < times; i++) await connectOnce(hostname);
  const ms = performance.now() - start;
  server.stop(true);
  console.log((ms * 1000) / times);
}

function connectOnce(hostname: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = { data() {}, close: () => resolve() };
    Bun.connect({ hostname, port: 8080, socket }).catch(reject);
  });
}
