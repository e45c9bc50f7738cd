import { commandLine, isVariableName, quote } from "./shell-text.ts";
import type { Tools } from "./tools.ts";

/**
 * The shell texts by which a process comes to be. Each program of the chain becomes the next by
 * exec, so that the process has one id from its cgroup to its own program:
 *
 *     monitor (sh, stays) -> setup: cgroups -> unshare -> inside: mounts -> setpriv
 *       -> last: waits to be told to go, directory, variables -> prlimit -> the program
 *
 * What takes time comes before the wait, so that a start is little more than the last exec.
 */

/** A mount in the process's own namespace, made in this order. */
export interface PlannedMount {
  source: string;
  target: string;
  type: string;
  options: readonly string[];
  /** What has to be there before: a file, where that is mounted, or a directory. */
  make?: "file" | "directory";
}

export interface StartPlan {
  /** The task's own directory. */
  directory: string;
  /** Files into which it writes its id, to be in its cgroups. */
  joinFiles: readonly string[];
  /** What is its own of the machine, as options of unshare(1). */
  namespaces: readonly string[];
  /** Another process's network, as a path; absent where it has its own or the machine's. */
  network?: string;
  mounts: readonly PlannedMount[];
  /** Mount points of the machine that it may not write to. */
  readOnly: readonly string[];
  /** Directories of the kernel's that it may not write to. */
  sealed: readonly string[];
  /** Files of /proc and what is written into them: host name, settings of the kernel. */
  writes: readonly (readonly [path: string, value: string])[];
  /** Where the program is on the machine. */
  real: string;
  privileges: Rights["privileges"];
  /** What it does as who it will be; see `lastWords`. */
  last: readonly string[];
}

/** As whom and with what a process runs, as words of prlimit(1) and setpriv(1). */
export interface Rights {
  limits: readonly string[];
  privileges: readonly string[];
}

const OUTPUTS = "</dev/null >&5 2>&6 5>&- 6>&- 8>&- 9<&-";

/** Printed when everything is ready but the program. */
export const READY = "orchd: ready";
/** Printed when the program is next. */
export const BEGUN = "orchd: begun";
/** Begins what the chain says of why it can't go on. */
export const REFUSED = "orchd: ";

/**
 * What stays: it starts the rest, keeps the exit code in a file, and ends what the program has left
 * behind. Its arguments: the task's directory, the list of its processes, the freezer with the
 * words that hold and release, the file that ends all at once; empty where there is none; and the
 * file for the exit code, behind which the process's id stands. It does not start the rest in the
 * background, where a shell ignores SIGINT and SIGQUIT, nor has it the agent's pipe for its own
 * output: what it says of a killed process would kill it. It holds the file that says whether its
 * program has begun, for there may be another one by that name when it comes to look: of a chain
 * that has not begun it says nothing, and ends nothing.
 */
export const MONITOR = `
exec 3<&0 4>&1 </dev/null >/dev/null 2>&1
cd /
: >"$1/begun"
exec 7<"$1/begun"
( . "$1/setup.sh" ) <&3 >&4 2>&4 3<&- 4>&- 7<&-
code=$?
exec 3<&- 4>&-
[ -d "$1" ] && read -r pid <&7 || exit
echo $code $pid >"$7.new"
round=0
while [ -n "$2" ] && [ $round -lt 100 ]; do
  found=
  if [ -n "$6" ]; then
    while read -r other; do found=1; break; done <"$2"
    [ -z "$found" ] || echo 1 >"$6"
  else
    [ -z "$3" ] || echo "$4" >"$3"
    while read -r other; do found=1; kill -9 "$other"; done <"$2"
    [ -z "$3" ] || echo "$5" >"$3"
  fi
  [ -n "$found" ] || break
  round=$((round+1))
  sleep 0.02
done
mv "$7.new" "$7"
`;

/** Variables that a shell does not take from others. */
const SHELLS_OWN = new Set("OPTIND PPID UID EUID SHELLOPTS BASHOPTS".split(" "));

/** From the monitor to the namespaces; the monitor's own child reads it, which is 0 to a cgroup. */
export function setupText(tools: Tools, plan: StartPlan): string {
  const { directory, joinFiles, namespaces, network } = plan;
  const enter = network === undefined ? [] : [tools.nsenter, `--net=${network}`, "--"];
  const inside = [tools.sh, `${directory}/inside.sh`];
  const own = [tools.unshare, "--mount", "--propagation", "slave", ...namespaces, "--"];
  return [
    "umask 022",
    ...joinFiles.map((file) => `echo 0 >${quote(file)} || exit 1`),
    openText(plan),
    `exec ${commandLine(...enter, ...own, ...inside)}`,
    "",
  ].join("\n");
}

/**
 * Opens outputs, `begun` and the program before all mounts: its own /tmp may hide the task's
 * directory, and no mount becomes read-only in which there is a file that is being written.
 */
export function openText({ directory, real }: Pick<StartPlan, "directory" | "real">): string {
  const at = (name: string) => quote(`${directory}/${name}`);
  return `exec 5>>${at("stdout")} 6>>${at("stderr")} 8>${at("begun")} 9<${quote(real)}`;
}

/** From the namespaces to the user. */
export function insideText(tools: Tools, plan: StartPlan): string {
  const { mounts, readOnly, writes, privileges, last, namespaces } = plan;
  const mount = (...words: string[]) => commandLine(tools.mount, ...words);
  return [
    "set -e",
    ...mounts.flatMap((planned) => mountLines(planned, mount)),
    ...readOnly.map((path) => mount("-o", "remount,bind,ro", path)),
    ...writes.map(([path, value]) => `echo ${quote(value)} >${quote(path)}`),
    ...plan.sealed.map((path) => mount("--rbind", "-o", "ro", path, path)),
    // Its own network begins without even itself.
    ...(namespaces.includes("--net") ? [commandLine(tools.ip, "link", "set", "lo", "up")] : []),
    `exec ${commandLine(tools.setpriv, ...privileges, "--", ...last)}`,
    "",
  ].join("\n");
}

/**
 * What the last shell does first: it says that all is ready, and waits to be told to go. An agent
 * that is gone by then has started nothing. The file begun holds its id from the moment that it
 * goes on, whether or not somebody is there to be told. A program whose place can't be looked at
 * can't be run either, which running it says.
 */
export function waitText(program: CommandPlan["program"]): string {
  const path = quote(program.path);
  return [
    `echo ${quote(READY)} $$`,
    "read -r go || exit",
    // What is mounted over it may have put another program in its place.
    `if [ -e ${path} ] && ! [ ${path} -ef /proc/self/fd/9 ]; then`,
    `  echo ${quote(`${REFUSED}${covered(program)}`)}`,
    "  exit 1",
    "fi",
    "echo $$ >&8 || exit",
    // Nobody may be there to hear it any more: an agent that was killed just now.
    `trap '' PIPE; echo ${quote(BEGUN)} 2>/dev/null || :; trap - PIPE`,
    `exec ${OUTPUTS}`,
    "",
  ].join("\n");
}

/** The words before those of a program that has limits. */
export function limitWords(tools: Tools, { limits }: Pick<Rights, "limits">): string[] {
  return limits.length === 0 ? [] : [tools.prlimit, ...limits, "--"];
}

/**
 * What the process does as who it will be: directory, variables, program. Values come in as
 * variables of their own names, so that nothing that a task says of its loader is heard by
 * programs with more rights, and none stands in a list of processes.
 * @param before what its shell does first
 */
export function lastWords(tools: Tools, start: LastStart, before = ""): string[] {
  const { environment, workingDir, words } = start;
  const entries = Object.keys(environment).map((name, index) => ({ name, from: `V${index}` }));
  const isPlain = (name: string) => isVariableName(name) && !SHELLS_OWN.has(name);
  const plain = entries.filter(({ name }) => isPlain(name));
  const odd = entries.filter(({ name }) => !isPlain(name));
  const through = odd.map(({ name, from }) => `${quote(name)}="$${from}"`).join(" ");
  const exported = plain.map(({ name, from }) => `export ${name}="$${from}"`);
  const text = [
    `${before}cd -- ${quote(workingDir)} || exit 126`,
    ...exported,
    ...(odd.length > 0 ? [] : entries.map(({ from }) => `unset ${from}`)),
    odd.length > 0
      ? `exec ${tools.env} ${entries.map(({ from }) => `-u ${from}`).join(" ")} ${through} "$@"`
      : 'exec "$@"',
  ].join("\n");
  return [tools.sh, "-c", text, tools.sh, ...words];
}

/** A command beside a task's process: from its cgroups to its namespaces and its rights. */
export interface CommandPlan {
  joinFiles: readonly string[];
  /** The task's process. */
  pid: number;
  program: { path: string; real: string };
  rights: Rights;
  last: readonly string[];
  /** Where its id is written. */
  pidFile?: string;
}

export function commandText(tools: Tools, plan: CommandPlan): string {
  const { joinFiles, pid, program, rights, last, pidFile } = plan;
  const privileged = [tools.setpriv, ...rights.privileges, "--"];
  const inside = [
    `if [ ${quote(program.path)} -ef /proc/self/fd/9 ]; then`,
    `  exec ${commandLine(...limitWords(tools, rights), ...privileged, ...last)} 9<&-`,
    "fi",
    `echo ${quote(covered(program))} >&2`,
    "exit 126",
  ].join("\n");
  const enter = ["--target", String(pid), "--mount", "--net", "--ipc", "--uts", "--"];
  return [
    "umask 022",
    ...joinFiles.map((file) => `echo $$ >${quote(file)} || exit 125`),
    ...(pidFile === undefined ? [] : [`echo $$ >${quote(pidFile)}`]),
    `exec 9<${quote(program.real)}`,
    `exec ${commandLine(tools.nsenter, ...enter, tools.sh, "-c", inside)}`,
  ].join("\n");
}

export interface LastStart {
  environment: Readonly<Record<string, string>>;
  workingDir: string;
  words: readonly string[];
}

/** The variables by which the chain is given the values. */
export function carried(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.values(environment).map((value, i) => [`V${i}`, value]));
}

function covered({ path }: CommandPlan["program"]): string {
  return `the command ${path} is another one behind what is mounted`;
}

function mountLines(planned: PlannedMount, mount: (...words: string[]) => string): string[] {
  const { source, target, type, options, make } = planned;
  const made =
    make === undefined
      ? []
      : [
          `mkdir -p ${quote(make === "file" ? target.replace(/\/[^/]*$/, "") || "/" : target)}`,
          ...(make === "file" ? [`: >${quote(target)}`] : []),
        ];
  if (type !== "bind") {
    const words = options.length === 0 ? [] : ["-o", options.join(",")];
    return [...made, mount("-t", type, ...words, source, target)];
  }
  const readOnly = options.includes("ro") ? ["-o", "ro"] : [];
  return [...made, mount("--rbind", ...readOnly, source, target)];
}
