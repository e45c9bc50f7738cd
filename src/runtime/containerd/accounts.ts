import { OrchdError } from "../../lib/errors.ts";

/** Who a process in a container is. */
export interface Account {
  uid: number;
  gid: number;
  additionalGids: number[];
  home: string;
}

/** The texts of /etc/passwd and /etc/group that count. */
export interface AccountFiles {
  passwd: string;
  group: string;
  /** Whose they are, behind a preposition: `in the image` where absent. */
  where?: string;
}

const ID_MAX = 0x7fff_ffff;

/**
 * The account that `USER[:GROUP]` means, by names or numbers; root where it is empty.
 * @throws OrchdError `runtime` for a name that they do not know
 */
export function accountOf(user: string, groupAdd: readonly string[], files: AccountFiles): Account {
  const [who = "", group] = user.split(":");
  const lines = fieldsOf(files.passwd);
  const id = numberOf(who || "0");
  const found = lines.find((fields) =>
    id === undefined ? fields[0] === who : numberOf(fields[2] ?? "") === id,
  );
  const uid = numberOf(found?.[2] ?? (who || "0"));
  if (uid === undefined) throw unknown("user", who, files);
  const gid =
    group === undefined || group === "" ? (numberOf(found?.[3] ?? "0") ?? 0) : gidOf(group, files);
  // Who names a group has no others, as in Docker.
  const own = group === undefined || group === "" ? groupsOf(found?.[0], files) : [];
  const added = groupAdd.map((name) => gidOf(name, files));
  return {
    uid,
    gid,
    additionalGids: [...new Set([...own, ...added])].filter((id) => id !== gid),
    home: found?.[5] || "/",
  };
}

function groupsOf(name: string | undefined, files: AccountFiles): number[] {
  if (name === undefined) return [];
  return fieldsOf(files.group).flatMap(([, , id = "", members = ""]) => {
    const gid = numberOf(id);
    return gid !== undefined && members.split(",").includes(name) ? [gid] : [];
  });
}

function gidOf(text: string, files: AccountFiles): number {
  const found = fieldsOf(files.group).find(([name]) => name === text)?.[2];
  const gid = numberOf(found ?? text);
  if (gid === undefined) throw unknown("group", text, files);
  return gid;
}

function unknown(what: string, name: string, { where }: AccountFiles): OrchdError {
  const place = where ?? "in the image";
  return new OrchdError("runtime", `the ${what} "${name}" does not exist ${place}`);
}

function numberOf(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= ID_MAX ? value : undefined;
}

function fieldsOf(text: string): string[][] {
  return text.split("\n").map((line) => line.trim().split(":"));
}
