import { expect, test } from "bun:test";
import { root } from "../../scripts/project.ts";

const RANGES = ["10.210.0.0/16", "fd00::ad2:0/112"];

/** What people are told to open for the cluster's ranges on a machine with these rules. */
async function toldOf(rules: string): Promise<string[]> {
  const program = `
    import { foreignFirewalls } from "${root}/src/net/foreign-firewall.ts";
    Bun.spawnSync(["nft", "-f", "-"], { stdin: Buffer.from(${JSON.stringify(rules)}) });
    console.log(JSON.stringify(await foreignFirewalls(${JSON.stringify(RANGES)})));`;
  const child = Bun.spawn(["unshare", "--net", process.execPath, "-e", program], {
    stderr: "inherit",
  });
  const printed = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  const told = JSON.parse(printed) as string[];
  return told.map((sentence) => sentence.split("allow it with: ")[1] ?? "");
}

const shut = (table: string, chain: string, ...rules: string[]) => {
  const hook = "type filter hook forward priority 0; policy drop;";
  return `table ${table} {\n chain ${chain} {\n ${[hook, ...rules].join("\n ")}\n }\n}\n`;
};

test("one that drops IPv6 is to be opened for the cluster's IPv6 addresses", async () => {
  expect(await toldOf(shut("ip6 filter", "FORWARD"))).toEqual([
    "ip6tables -I FORWARD -d fd00::ad2:0/112 -j ACCEPT",
  ]);
  const docker = "table ip6 filter {\n chain DOCKER-USER {\n }\n}\n";
  expect(await toldOf(shut("ip6 filter", "FORWARD") + docker)).toEqual([
    "ip6tables -I DOCKER-USER -d fd00::ad2:0/112 -j ACCEPT",
  ]);
});

test("one that drops both is to be opened for each that is not open yet", async () => {
  const inet6 = "nft insert rule inet wall through ip6 daddr fd00::ad2:0/112 accept";
  expect(await toldOf(shut("inet wall", "through"))).toEqual([
    "nft insert rule inet wall through ip daddr 10.210.0.0/16 accept",
    inet6,
  ]);
  const open = shut("inet wall", "through", "ip daddr 10.210.0.0/16 accept");
  expect(await toldOf(open)).toEqual([inet6]);
  const both = shut(
    "inet wall",
    "through",
    "ip daddr 10.210.0.0/16 accept",
    "ip6 daddr fd00::ad2:0/112 accept",
  );
  expect(await toldOf(both)).toEqual([]);
});
