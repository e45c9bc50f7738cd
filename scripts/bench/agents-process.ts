import { join } from "node:path";
import { AgentRole } from "../../src/agent/role.ts";
import { untilStopped } from "../../src/agent/until-stopped.ts";
import { GOSSIP_PORT } from "../../src/net/gossip/transport.ts";
import { eachOf } from "./work.ts";

/*
 * Many agents in one process, each with all that an agent has: a directory, an identity, a session
 * over TLS, its part in gossip; only its containers are in memory. Run by Bun, like orchd itself:
 * agents-process.ts TOKEN SERVER DIRECTORY FIRST COUNT GOSSIPING. Prints
 * `connected NUMBER MILLISECONDS` for each session that begins, and ends when it is told to.
 */
const [token = "", server = "", directory = "", ...numbersGiven] = process.argv.slice(2);
const [first = 0, count = 0, gossiping = 0] = numbersGiven.map(Number);
const FIRST_GOSSIP_PORT = 20_000;
const JOINS_AT_ONCE = 4;
const isSession = (message: string) => message.startsWith("connected to the server");

const numbers = Array.from({ length: count }, (_, i) => first + i);
const roles: AgentRole[] = [];
await eachOf(numbers, JOINS_AT_ONCE, async (number) => {
  const tell = (message: string) => {
    if (isSession(message)) console.log(`connected ${number} ${Date.now()}`);
  };
  const dataDir = join(directory, `n${number}`);
  const role = await AgentRole.start({
    dataDir,
    runDir: dataDir,
    runtime: "fake",
    sockets: {},
    token,
    servers: [server],
    labels: {},
    name: `n${number}`,
    advertise: "127.0.0.1",
    // The server has its own: whoever wants that one goes on with its session alone.
    gossipPort: number - first < gossiping ? FIRST_GOSSIP_PORT + number : GOSSIP_PORT,
    orchdVersion: "0.0.0",
    log: {
      info: tell,
      warn: (message) => console.error(`n${number} warns: ${message}`),
      error: (message) => {
        if (!message.includes("no part in gossip")) console.error(`n${number} fails: ${message}`);
      },
    },
  });
  roles.push(role);
});
await untilStopped();
await Promise.all(roles.map((role) => role.stop()));
