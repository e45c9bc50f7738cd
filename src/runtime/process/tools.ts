import { OrchdError } from "../../lib/errors.ts";

/** Programs by which processes are started, each with Debian's package of it. */
const PACKAGES = {
  sh: "dash",
  env: "coreutils",
  mount: "mount",
  unshare: "util-linux",
  nsenter: "util-linux",
  setpriv: "util-linux",
  prlimit: "util-linux",
  ip: "iproute2",
} as const;

/** Their paths. */
export type Tools = Readonly<Record<keyof typeof PACKAGES, string>>;

/** Where they are, whatever the environment says. */
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin";

/** @throws OrchdError `runtime` for one that is missing, with the package to install */
export function findTools(): Tools {
  return {
    sh: find("sh"),
    env: find("env"),
    mount: find("mount"),
    unshare: find("unshare"),
    nsenter: find("nsenter"),
    setpriv: find("setpriv"),
    prlimit: find("prlimit"),
    ip: find("ip"),
  };
}

function find(name: keyof typeof PACKAGES): string {
  const path = Bun.which(name, { PATH });
  if (path !== null) return path;
  const message = `processes are started by ${name}, which is missing (Debian: apt install `;
  throw new OrchdError("runtime", `${message}${PACKAGES[name]})`);
}
