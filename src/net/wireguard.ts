import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import { WIREGUARD_PORT, type Tunnel, type WireguardPeer } from "../core/network/links.ts";
import { parsePeers, planPeers } from "../core/network/wireguard.ts";
import { complaintOf, runProgram, type ProgramOutput } from "./program.ts";

const whatFor =
  "so there is no encrypted network here (Debian: apt install wireguard-tools wireguard-go)";
const WG = { name: "wg", whatFor };
const WIREGUARD_GO = { name: "wireguard-go", whatFor };
const IP = { name: "ip", whatFor };
const MODPROBE = { name: "modprobe", whatFor };

/** The head of a PKCS 8 key for X25519 (RFC 8410, section 7), before the 32 bytes themselves. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex");

/** Whether this machine can take part in an encrypted network. */
export async function hasWireguard(): Promise<boolean> {
  if (Bun.which("wg") === null) return false;
  return Bun.which("wireguard-go") !== null || (await knowsWireguard());
}

/**
 * The node's public key. The private one is made on the node when there is none, and is for its
 * owner's eyes alone.
 * @param path of the private key, in base 64, as `wg` reads it
 */
export function wireguardKey(path: string): string {
  const secret = loadKey(path) ?? makeKey(path);
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_HEAD, secret]),
    format: "der",
    type: "pkcs8",
  });
  const { x = "" } = createPublicKey(key).export({ format: "jwk" });
  return Buffer.from(x, "base64url").toString("base64");
}

function loadKey(path: string): Buffer | undefined {
  try {
    const secret = Buffer.from(readFileSync(path, "utf8").trim(), "base64");
    if (secret.length === 32) return secret;
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  // A power cut while it was written: nobody knows the public key of half a key.
  return undefined;
}

function makeKey(path: string): Buffer {
  const { d = "" } = generateKeyPairSync("x25519").privateKey.export({ format: "jwk" });
  const secret = Buffer.from(d, "base64url");
  writeFileSync(path, `${secret.toString("base64")}\n`, { mode: 0o600, flush: true });
  return secret;
}

/**
 * Makes the device when it is not there, with the kernel's own WireGuard or else with a program
 * that does the same, and gives it the node's key.
 * @throws OrchdError `runtime` when the machine has neither
 */
export async function ensureWireguard(
  { name, mtu }: Tunnel,
  keyPath: string,
  isThere: boolean,
): Promise<void> {
  if (!isThere) await makeDevice(name);
  const port = `${WIREGUARD_PORT}`;
  await must(runProgram(WG, ["set", name, "listen-port", port, "private-key", keyPath]));
  await must(runProgram(IP, ["link", "set", "dev", name, "mtu", `${mtu}`, "up"]));
}

async function makeDevice(name: string): Promise<void> {
  const made = await runProgram(IP, ["link", "add", name, "type", "wireguard"]);
  if (made.exitCode === 0) return;
  // It leaves a process of its own behind, which goes on when orchd is restarted.
  await must(runProgram(WIREGUARD_GO, [name]));
}

/**
 * Makes the device's peers equal to the wanted ones.
 * @param before what was wanted when this was last done
 */
export async function applyPeers(
  device: string,
  wanted: ReadonlyMap<string, WireguardPeer>,
  before: ReadonlyMap<string, WireguardPeer>,
): Promise<void> {
  const { stdout } = await must(runProgram(WG, ["show", device, "dump"]));
  const words = planPeers(parsePeers(stdout), wanted, before, Date.now() / 1000);
  if (words.length > 0) await must(runProgram(WG, ["set", device, ...words]));
}

async function knowsWireguard(): Promise<boolean> {
  try {
    return (await runProgram(MODPROBE, ["-n", "-q", "wireguard"])).exitCode === 0;
  } catch {
    // Without modprobe nothing can be loaded that is not there.
    return false;
  }
}

async function must(running: Promise<ProgramOutput>): Promise<ProgramOutput> {
  const output = await running;
  if (output.exitCode === 0) return output;
  throw new OrchdError("runtime", `WireGuard could not be set up: ${complaintOf(output)}`);
}
