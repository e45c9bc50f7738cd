import { existsSync, readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { getuid } from "node:process";
import { $ } from "zx";

/** A program that shows that a package is there. */
interface Part {
  program: string;
  package: string;
}

/** What orchd needs of the machine, whatever runs its containers. */
const PARTS: readonly Part[] = [
  { program: "runc", package: "runc" },
  { program: "catatonit", package: "catatonit" },
  { program: "nft", package: "nftables" },
  { program: "ip", package: "iproute2" },
];
const RUNTIME_PARTS: Record<"podman" | "containerd", readonly Part[]> = {
  podman: [
    { program: "podman", package: "podman" },
    { program: "netavark", package: "netavark" },
    { program: "iptables", package: "iptables" },
  ],
  containerd: [{ program: "containerd", package: "containerd" }],
};
/**
 * What tests need on top: other runtimes, what gossip, DNS and the registry are held against,
 * clocks that are wrong, and a program with data that it must not lose.
 */
export const TEST_PARTS: readonly Part[] = [
  ...RUNTIME_PARTS.containerd,
  { program: "dockerd", package: "docker.io" },
  { program: "serf", package: "serf" },
  { program: "dig", package: "bind9-dnsutils" },
  { program: "faketime", package: "faketime" },
  { program: "wg", package: "wireguard-tools" },
  { program: "wireguard-go", package: "wireguard-go" },
  { program: "tcpdump", package: "tcpdump" },
  { program: "skopeo", package: "skopeo" },
  { program: "buildah", package: "buildah" },
  { program: "docker-registry", package: "docker-registry" },
  { program: "postgres", package: "postgresql" },
];
/** Debian has a folder of PostgreSQL for each of its versions. */
const POSTGRES = "/usr/lib/postgresql";
/** What the example image is made of; a dynamically linked one would find no libraries there. */
export const BUSYBOX = "/bin/busybox";
const FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/podman", "/usr/libexec/podman"];

export function isRoot(): boolean {
  return getuid?.() === 0;
}

/** Debian packages that are not there. */
function missingPackages(needed: readonly Part[]): string[] {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...FOLDERS, postgresFolder()];
  const isThere = (program: string) => folders.some((at) => existsSync(join(at, program)));
  const parts = needed.filter(({ program }) => !isThere(program));
  const missing = parts.map((part) => part.package);
  return hasStaticBusybox() ? missing : [...missing, "busybox-static"];
}

/** Where the programs of the newest PostgreSQL are, if there is one. */
export function postgresFolder(): string {
  const versions = existsSync(POSTGRES) ? readdirSync(POSTGRES).map(Number) : [];
  return join(POSTGRES, String(Math.max(0, ...versions.filter(Number.isInteger))), "bin");
}

function hasStaticBusybox(): boolean {
  return existsSync(BUSYBOX) && !readFileSync(BUSYBOX).includes("/ld-linux");
}

/**
 * Installs what the machine lacks from Debian's packages.
 * @param more what is needed beside what orchd itself needs
 * @param runtime what is to run containers
 * @returns why it can't run containers, in one sentence; nothing when it can
 */
export async function prepareMachine(
  more: readonly Part[] = [],
  runtime: keyof typeof RUNTIME_PARTS = "podman",
): Promise<string | undefined> {
  const needed = [...PARTS, ...RUNTIME_PARTS[runtime], ...more];
  const missing = missingPackages(needed);
  const names = missing.join(" ");
  if (!isRoot()) {
    const install = missing.length > 0 ? ` and \`apt-get install ${names}\`` : "";
    return `Containers need root: run this again as root (sudo npm …)${install}.`;
  }
  if (missing.length === 0) return undefined;
  if (!existsSync("/usr/bin/apt-get")) {
    return `Install ${names} with your system's package manager: apt-get is not here.`;
  }
  console.log(`Installing Debian packages: ${names}`);
  if (!(await install(missing)) && !((await update()) && (await install(missing)))) {
    return `apt-get could not install ${names}: see its messages above.`;
  }
  const still = missingPackages(needed);
  return still.length === 0 ? undefined : `Still missing after installing: ${still.join(" ")}.`;
}

async function install(packages: readonly string[]): Promise<boolean> {
  const options = ["-qq", "-y", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends"];
  const result = await apt()`apt-get install ${options} ${packages}`;
  return result.exitCode === 0;
}

/** The lists of packages of a new machine are empty or old. */
async function update(): Promise<boolean> {
  return (await apt()`apt-get update -qq`).exitCode === 0;
}

function apt() {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return $({ env, nothrow: true, stdio: ["ignore", "ignore", "inherit"] });
}
