import { describe, expect, test } from "bun:test";
import { conflictOf, parseRoutes } from "../../../../src/core/network/routes.ts";

/** Lines of /proc/net/route: interface, destination, flags and mask. */
function table(...lines: [string, string, string, string][]): string {
  const head =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
  const rows = lines.map(([name, to, flags, mask]) => {
    return `${name}\t${to}\t00000000\t${flags}\t0\t0\t0\t${mask}\t0\t0\t0   `;
  });
  return [head, ...rows, ""].join("\n");
}

const DEFAULT: [string, string, string, string] = ["eth0", "00000000", "0003", "00000000"];

describe("what a machine routes", () => {
  test("is read as the kernel has it, less what leads everywhere, nowhere, or is ours", () => {
    const text = table(
      DEFAULT,
      ["eth0", "000200C0", "0001", "00FFFFFF"],
      ["orchd0", "0001D20A", "0001", "00FFFFFF"],
      ["orchd-vx", "0002D20A", "0003", "00FFFFFF"],
      ["*", "0000000A", "0201", "000000FF"],
    );
    const routes = parseRoutes(text);
    expect(routes).toEqual([
      { interfaceName: "eth0", subnet: { base: 192 * 2 ** 24 + 512, prefix: 24 } },
    ]);
    expect(conflictOf("10.210.0.0/16", routes)).toBeUndefined();
  });

  test("is ours with our metric, though it leads out of another device", () => {
    const row = "eth0\t0002D20A\tC0000202\t0003\t0\t0\t6770\t00FFFFFF\t0\t0\t0";
    expect(parseRoutes(`${table()}${row}\n`)).toEqual([]);
    expect(parseRoutes(`${table()}${row.replace("6770", "100")}\n`)).toHaveLength(1);
  });

  test("is nothing where there is no table, or nonsense in it", () => {
    for (const text of ["", "\n\n", table(["eth0", "zz", "0001", "zz"], ["eth0", "0", "", "1"])]) {
      expect(parseRoutes(text)).toEqual([]);
    }
  });

  test("is told when the cluster's range overlaps it, with a range that does not", () => {
    const vpn = parseRoutes(table(DEFAULT, ["tun0", "0000000A", "0003", "000000FF"]));
    expect(conflictOf("10.210.0.0/16", vpn)).toBe(
      "this machine routes 10.0.0.0/8 by tun0 already, which overlaps 10.210.0.0/16, the range " +
        "of the cluster: choose another with --cluster-range when the cluster is made, such as " +
        "172.30.0.0/16",
    );
    const office = parseRoutes(table(["eth1", "0005D20A", "0001", "00FFFFFF"]));
    expect(conflictOf("10.210.0.0/16", office)).toContain("10.210.5.0/24 by eth1");
    expect(conflictOf("10.99.0.0/16", office)).toBeUndefined();
  });
});
