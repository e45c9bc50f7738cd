import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:net";
import { PortClaims } from "../../../src/net/ports.ts";
import { aPort } from "../../builders.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

/** A program that takes a port of the machine's IPv6 addresses alone, or of all of IPv4. */
function aProgram(host: "::" | "0.0.0.0", port = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server: Server = createServer();
    server.once("error", reject);
    server.listen({ host, port, ipv6Only: host === "::" }, () => {
      opened.push(server);
      const address = server.address();
      resolve(typeof address === "object" ? (address?.port ?? 0) : 0);
    });
  });
}

function claimsOf(hasIpv6: boolean): PortClaims {
  const claims = new PortClaims(hasIpv6);
  opened.push(claims);
  return claims;
}

describe("a published port that a program has on IPv6 alone", () => {
  test("is that program's where tasks are reached by IPv6, and is let go of on IPv4", async () => {
    const published = await aProgram("::");
    const error = await claimsOf(true)
      .claim(aPort({ published }), "web")
      .catch((thrown: unknown) => thrown);
    expect(String(error)).toInclude("is in use by another program here");
    expect(await aProgram("0.0.0.0", published)).toBe(published);
  });

  test("is the task's where it is not", async () => {
    const published = await aProgram("::");
    await claimsOf(false).claim(aPort({ published }), "web");
    const error = await aProgram("0.0.0.0", published).catch((thrown: unknown) => thrown);
    expect(String(error)).toInclude("EADDRINUSE");
  });
});

test("a port of one address is claimed there alone", async () => {
  const published = await aProgram("::");
  await claimsOf(true).claim(aPort({ published, hostIp: "127.0.0.1" }), "web");
  const error = await claimsOf(false)
    .claim(aPort({ published, hostIp: "127.0.0.1" }), "other")
    .catch((thrown: unknown) => thrown);
  expect(String(error)).toInclude("is in use");
});
