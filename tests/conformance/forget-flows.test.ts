import { expect, test } from "bun:test";
import { root } from "../../scripts/project.ts";

/** Two services of one task each, and a port of the machine, as a node's rules have them. */
const RULES = `
  table ip n {
    chain o {
      type nat hook output priority -100;
      ip daddr 10.0.0.1 dnat to 10.0.0.2
    }
  }
  table ip6 n {
    chain o {
      type nat hook output priority -100;
      ip6 daddr fd00::1 dnat to fd00::2
    }
  }`;

/**
 * Sends a datagram to each, forgets some flows, and tells which the kernel knows then. Of TCP there
 * is a connection to a service, and one that its task does not answer.
 */
const PROGRAM = `
  import { createSocket } from "node:dgram";
  import { waitUntil } from "${root}/scripts/lab/lab.ts";
  import { forgetFlows } from "${root}/src/net/conntrack.ts";
  const { hasIpv6 } = JSON.parse(process.argv.at(-1));
  const sh = (line, input = "") => {
    const { success, stdout, stderr } = Bun.spawnSync(["sh", "-c", line], {
      stdin: Buffer.from(input),
    });
    if (!success) throw new Error(stderr.toString());
    return stdout.toString();
  };
  sh("ip link set lo up");
  for (const address of ["10.0.0.1/32", "10.0.0.2/32", "fd00::1/128", "fd00::2/128"]) {
    sh("ip addr add " + address + " dev lo");
  }
  sh("nft -f -", ${JSON.stringify(RULES)});
  const send = (type, port, address) =>
    new Promise((resolve, reject) => {
      const socket = createSocket(type);
      socket.send("x", port, address, (error) => {
        socket.close();
        if (error) reject(error);
        else resolve();
      });
    });
  for (const [type, virtual, own] of [
    ["udp4", "10.0.0.1", "10.0.0.2"],
    ["udp6", "fd00::1", "fd00::2"],
  ]) {
    await send(type, 7000, virtual);
    await send(type, 53, own);
    await send(type, 54, own);
  }
  const silent = "add table ip s; add chain ip s i { type filter hook input priority 0; }; " +
    "add rule ip s i tcp dport 81 drop";
  sh("nft -f -", silent);
  const server = Bun.listen({ hostname: "10.0.0.2", port: 80, socket: { data() {} } });
  const open = await Bun.connect({ hostname: "10.0.0.1", port: 80, socket: { data() {} } });
  Bun.connect({ hostname: "10.0.0.1", port: 81, socket: { data() {} } }).catch(() => undefined);
  Bun.connect({ hostname: "10.0.0.2", port: 81, socket: { data() {} } }).catch(() => undefined);
  const flows = () => sh("cat /proc/net/nf_conntrack");
  await waitUntil("all try to connect", 5000, async () => flows().split("SYN_SENT").length === 3);
  const addresses = new Set(["10.0.0.2", "fd00::2"]);
  console.log(await forgetFlows({ addresses, ports: new Set([53]), hasIpv6 }));
  for (const line of flows().trim().split("\\n")) {
    const [family, , protocol] = line.split(/ +/);
    console.log([family, protocol, /dport=(\\d+)/.exec(line)[1]].join(" "));
  }
  open.end();
  server.stop(true);
  process.exit(0);`;

async function remembered(hasIpv6: boolean): Promise<string[]> {
  const words = [process.execPath, "-e", PROGRAM, "--", JSON.stringify({ hasIpv6 })];
  const child = Bun.spawn(["unshare", "--net", ...words], { stderr: "inherit" });
  const printed = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return printed.trim().split("\n").sort();
}

const TCP_LEFT = ["ipv4 tcp 80", "ipv4 tcp 81"];

test("flows to tasks that are gone are forgotten, and those to ports that nobody had", async () => {
  const udp = ["ipv4 udp 54", "ipv6 udp 54"];
  expect(await remembered(true)).toEqual(["5", ...TCP_LEFT, ...udp].sort());
});

test("those of IPv6 only where tasks have it", async () => {
  const udp = ["ipv4 udp 54", "ipv6 udp 53", "ipv6 udp 54", "ipv6 udp 7000"];
  expect(await remembered(false)).toEqual(["3", ...TCP_LEFT, ...udp].sort());
});
