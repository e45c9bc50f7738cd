import { expect, test } from "bun:test";
import { sortByRoute } from "../../../src/net/own-address.ts";

const HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask";
const addresses = ["eth0", "wlan0", "usb0"].map((interfaceName, i) => ({
  interfaceName,
  address: `192.0.2.${i + 1}`,
}));

test("the address on the interface with the default route comes first", () => {
  const routes = `${HEADER}\nwlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\n`;
  expect(sortByRoute(addresses, routes)[0]?.address).toBe("192.0.2.2");
});

test("of two default routes the one with the smaller metric counts", () => {
  const routes = [
    HEADER,
    "wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000",
    "usb0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000",
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF",
  ].join("\n");
  expect(sortByRoute(addresses, routes).map((a) => a.interfaceName)).toEqual([
    "usb0",
    "wlan0",
    "eth0",
  ]);
});

test("without a default route the order of the interfaces stays", () => {
  expect(sortByRoute(addresses, HEADER)).toEqual(addresses);
});
