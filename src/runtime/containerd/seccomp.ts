import { readFileSync } from "node:fs";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import {
  ALLOWED_CALLS,
  CALLS_BY_CAPABILITY,
  CALLS_BY_PROCESSOR,
  PERSONALITIES,
  REFUSED_CALLS,
} from "./seccomp-calls.ts";

const ENOSYS = 38;
const EPERM = 1;
const AF_NETLINK = 16;
const NETLINK_AUDIT = 9;

/** Processors as seccomp(2) names them, by Node's names, with those whose programs they run too. */
const PROCESSORS: ReadonlyMap<string, readonly string[]> = new Map([
  ["x64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]],
  ["arm64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]],
  ["arm", ["SCMP_ARCH_ARM"]],
  ["riscv64", ["SCMP_ARCH_RISCV64"]],
]);
const GO_NAMES: Record<string, string> = { x64: "amd64" };

const argSchema = z.object({
  index: z.int(),
  value: z.number(),
  valueTwo: z.number().optional(),
  op: z.string(),
});
type Argument = z.infer<typeof argSchema>;

interface Rule {
  names: readonly string[];
  action: string;
  errnoRet?: number | undefined;
  args?: readonly Argument[] | undefined;
}

const conditionSchema = z
  .object({ caps: z.array(z.string()).nullish(), arches: z.array(z.string()).nullish() })
  .nullish();
type Condition = z.infer<typeof conditionSchema>;

/** A profile in the form of Docker and Podman. */
const profileSchema = z.object({
  defaultAction: z.string(),
  defaultErrnoRet: z.int().optional(),
  syscalls: z
    .array(
      z.object({
        name: z.string().optional(),
        names: z.array(z.string()).optional(),
        action: z.string(),
        errnoRet: z.int().optional(),
        args: z.array(argSchema).nullish(),
        includes: conditionSchema,
        excludes: conditionSchema,
      }),
    )
    .nullish(),
});

/** The filter of system calls for a container with these capabilities, in the runtime's words. */
export function defaultSeccomp(capabilities: ReadonlySet<string>): Record<string, unknown> {
  const mayAudit = capabilities.has("CAP_AUDIT_WRITE");
  const rules: Rule[] = [
    { names: REFUSED_CALLS, action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
    {
      names: ALLOWED_CALLS.concat(CALLS_BY_PROCESSOR.get(process.arch) ?? []),
      action: "SCMP_ACT_ALLOW",
    },
    ...PERSONALITIES.map((value) => ({
      names: ["personality"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 0, value, op: "SCMP_CMP_EQ" }],
    })),
    ...[...CALLS_BY_CAPABILITY].map(([capability, names]) =>
      capabilities.has(capability)
        ? { names, action: "SCMP_ACT_ALLOW" }
        : { names, action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
    ),
    ...(mayAudit ? [{ names: ["socket"], action: "SCMP_ACT_ALLOW" }] : socketsWithoutAudit()),
  ];
  return filterOf("SCMP_ACT_ERRNO", ENOSYS, rules);
}

/**
 * The filter in a file.
 * @throws OrchdError `invalid` for what is no profile
 */
export function seccompOfFile(
  path: string,
  capabilities: ReadonlySet<string>,
): Record<string, unknown> {
  let parsed;
  try {
    parsed = profileSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    const message = `the seccomp profile ${path} is not on the node, or is none`;
    throw new OrchdError("invalid", message, { cause });
  }
  const processor = GO_NAMES[process.arch] ?? process.arch;
  const holds = (condition: Condition) =>
    (condition?.caps ?? []).every((name) => capabilities.has(name)) &&
    (condition?.arches ?? [processor]).includes(processor);
  const isNamed = (condition: Condition) =>
    (condition?.caps ?? []).some((name) => capabilities.has(name)) ||
    (condition?.arches ?? []).includes(processor);
  const rules = (parsed.syscalls ?? [])
    .filter(({ includes, excludes }) => holds(includes) && !isNamed(excludes))
    .map(({ name, names, action, errnoRet, args }) => ({
      names: names ?? (name === undefined ? [] : [name]),
      action,
      errnoRet,
      args: args ?? [],
    }));
  return filterOf(parsed.defaultAction, parsed.defaultErrnoRet, rules);
}

/** All sockets but those of the kernel's audit. */
function socketsWithoutAudit(): Rule[] {
  const family = { index: 0, value: AF_NETLINK };
  const protocol = { index: 2, value: NETLINK_AUDIT };
  const allow = (argument: Argument) => ({
    names: ["socket"],
    action: "SCMP_ACT_ALLOW",
    args: [argument],
  });
  return [
    {
      names: ["socket"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: 22,
      args: [
        { ...family, op: "SCMP_CMP_EQ" },
        { ...protocol, op: "SCMP_CMP_EQ" },
      ],
    },
    allow({ ...protocol, op: "SCMP_CMP_NE" }),
    allow({ ...family, op: "SCMP_CMP_NE" }),
  ];
}

function filterOf(
  defaultAction: string,
  defaultErrnoRet: number | undefined,
  rules: readonly Rule[],
): Record<string, unknown> {
  return {
    defaultAction,
    ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
    architectures: PROCESSORS.get(process.arch) ?? [],
    syscalls: rules
      .filter(({ names }) => names.length > 0)
      .map(({ names, action, errnoRet, args = [] }) => ({
        names,
        action,
        ...(errnoRet === undefined ? {} : { errnoRet }),
        ...(args.length === 0 ? {} : { args }),
      })),
  };
}
