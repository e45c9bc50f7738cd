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

/** What firewalld 1.3 makes of a zone `public`, as far as packets that are passed on meet it. */
const firewalld = (...zones: string[]) => `table inet firewalld {
  chain filter_FWD_public {
  }
  chain filter_FWD_trusted {
    accept
  }
  chain filter_FORWARD_ZONES {
    ${[...zones, "goto filter_FWD_public"].join("\n    ")}
  }
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump filter_FORWARD_ZONES
    reject with icmpx admin-prohibited
  }
}
`;

test("firewalld is to be told of the cluster, and is left alone once it was", async () => {
  const remedy = (range = "") =>
    `firewall-cmd --permanent --zone=trusted --add-source=${range} && firewall-cmd --reload`;
  expect(await toldOf(firewalld())).toEqual(RANGES.map(remedy));
  const [inet, inet6] = RANGES.map((range) => {
    return `${range.includes(":") ? "ip6" : "ip"} saddr ${range} goto filter_FWD_trusted`;
  });
  expect(await toldOf(firewalld(inet ?? ""))).toEqual([remedy(RANGES[1])]);
  expect(await toldOf(firewalld(inet ?? "", inet6 ?? ""))).toEqual([]);
});
