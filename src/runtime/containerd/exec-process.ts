import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { ExecOptions } from "../../model/session.ts";
import { accountOf } from "./accounts.ts";
import type { ContainerdGrpc } from "./grpc.ts";
import { type ContainerRecord, METHODS } from "./methods.ts";
import { processCapabilities } from "./oci-spec.ts";
import { layersOf, readInLayers } from "./rootfs.ts";
import { SNAPSHOTTER } from "./unpack.ts";

/** What a command takes over from the container's own process. */
const specSchema = z.object({
  process: z.looseObject({
    env: z.array(z.string()),
    cwd: z.string(),
    capabilities: z.looseObject({ bounding: z.array(z.string()) }),
  }),
});

/** A command as the OCI runtime is to run it: like the container's own process, but for this. */
export async function execProcessOf(
  grpc: ContainerdGrpc,
  record: ContainerRecord,
  options: ExecOptions,
): Promise<Record<string, unknown>> {
  const text = new TextDecoder().decode(record.spec?.value);
  const spec = specSchema.safeParse(JSON.parse(text));
  if (!spec.success) throw new OrchdError("runtime", "the container's own settings make no sense");
  const { process } = spec.data;
  const given = Object.entries(options.environment).map(([name, value]) => `${name}=${value}`);
  const names = new Set(Object.keys(options.environment));
  const kept = process.env.filter((line) => !names.has(line.slice(0, line.indexOf("="))));
  const size = options.size;
  return {
    ...process,
    ...(options.user === undefined ? {} : await userOf(grpc, record, options.user, process)),
    terminal: options.tty,
    ...(size === undefined ? {} : { consoleSize: { height: size.rows, width: size.columns } }),
    args: options.command,
    env: [...kept, ...given],
    cwd: options.workingDir ?? process.cwd,
  };
}

async function userOf(
  grpc: ContainerdGrpc,
  { id }: ContainerRecord,
  user: string,
  { capabilities }: z.infer<typeof specSchema>["process"],
): Promise<Record<string, unknown>> {
  const own = { snapshotter: SNAPSHOTTER, key: id };
  const layers = layersOf((await grpc.call(METHODS.snapshotMounts, own)).mounts);
  const passwd = readInLayers(layers, "etc/passwd") ?? "";
  const group = readInLayers(layers, "etc/group") ?? "";
  const account = accountOf(user, [], { passwd, group });
  const { uid, gid, additionalGids } = account;
  const all = new Set(capabilities.bounding);
  const nothingAdded = { capAdd: [], privileged: false };
  return {
    user: { uid, gid, additionalGids },
    capabilities: processCapabilities(nothingAdded, account, all),
  };
}
