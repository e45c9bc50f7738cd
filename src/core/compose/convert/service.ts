import { isGlobal, REPLICAS_MAX, serviceModeSchema } from "../../../model/service.ts";
import type { ServiceSpec } from "../../../model/service.ts";
import { PROCESS_IMAGE, type Resources } from "../../../model/container.ts";
import { quoted } from "../problem.ts";
import type { Loader } from "../read/loader.ts";
import { autoscaleOf } from "./autoscale.ts";
import { containerSpecOf } from "./container.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";
import { dependenciesOf } from "./dependencies.ts";
import { drainOf } from "./drain.ts";
import { imageOf } from "./image.ts";
import { ingressOf } from "./ingress.ts";
import type { Items } from "./items.ts";
import { jobOf } from "./job.ts";
import { pairsOf } from "./pairs.ts";
import { placementOf, precedenceOf } from "./placement.ts";
import { isProcessOf, PROCESS, refuseForProcess } from "./process.ts";
import { probesOf } from "./probes.ts";
import { disconnectPolicyOf, restartPolicyOf } from "./policies.ts";
import { attachmentsOf, type Networks } from "./networks.ts";
import { endpointModeOf, portsOf, stickyMsOf, type PlacedPort } from "./ports.ts";
import { resourcesOf } from "./resources.ts";
import { rollbackPolicyOf, rolloutRulesOf, updatePolicyOf } from "./rollout.ts";
import { backupsOf, type Volumes } from "./volumes.ts";

export interface ServiceContext {
  /** The stack's name. */
  stack: string;
  networks: Networks;
  volumes: Volumes;
  items: Items;
  loader: Loader;
}

export interface ConvertedService {
  /** Only to be used when no problem is an error. */
  spec: ServiceSpec;
  ports: PlacedPort[];
}

/** One service of a validated file. All problems are told, whatever else is wrong with it. */
export function convertService(service: Cursor, context: ServiceContext): ConvertedService {
  const { stack, networks, volumes, items, loader } = context;
  const isProcess = isProcessOf(service);
  const image = (isProcess ? PROCESS_IMAGE : imageOf(service)) ?? "";
  if (isProcess) refuseForProcess(service);
  const made = containerSpecOf(service, { image, volumes, items, loader });
  const ports = portsOf(service);
  const { networkMode } = made;
  const probes = probesOf(service, { networkMode, ports: ports.map(({ port }) => port) });
  const container = {
    ...made,
    ...(isProcess ? PROCESS : {}),
    ...(probes === undefined ? {} : { probes }),
  };
  const { mode, replicas } = scaleOf(service);
  const usesHostPorts =
    container.networkMode === "host" || ports.some(({ port }) => port.mode === "host");
  const resources = resourcesOf(service);
  const hasDevices = container.devices.length > 0 || reservesExclusively(resources);
  const ingress = ingressOf(service, ports, items);
  const isReached = ports.length > 0 || ingress !== undefined;
  const autoscale = autoscaleOf(service, { mode, resources, isReached });
  const overlap = { mounts: container.mounts, hasDevices, usesHostPorts };
  const rollback = rollbackPolicyOf(service, overlap);
  const rollout = rolloutRulesOf(service, { mode, replicas });
  const backups = backupsOf(container.mounts, volumes);
  const spec: ServiceSpec = {
    mode,
    replicas,
    container,
    resources,
    ports: ports.map(({ port }) => port),
    networks: attachmentsOf(service, networks),
    ...withoutUndefined({ endpointMode: endpointModeOf(service, ports) }),
    ...withoutUndefined({ stickyMs: stickyMsOf(service) }),
    ...withoutUndefined({ ingress }),
    placement: placementOf(service, stack),
    restart: restartPolicyOf(service),
    update: updatePolicyOf(service, overlap),
    ...(rollback === undefined ? {} : { rollback }),
    ...(rollout === undefined ? {} : { rollout }),
    ...withoutUndefined({ drain: drainOf(service, mode) }),
    disconnect: disconnectPolicyOf(service),
    ...(autoscale === undefined ? {} : { autoscale }),
    ...precedenceOf(service),
    labels: pairsOf(service.get("deploy")?.get("labels")),
    restarts: 0,
    ...jobOf(service, { mode, replicas }),
    ...withoutUndefined({ dependsOn: dependenciesOf(service) }),
    ...(backups.length === 0 ? {} : { backups }),
  };
  return { spec, ports };
}

/** Whether it asks for devices that two tasks can't have at once; GPUs are shared. */
function reservesExclusively({ reservations }: Resources): boolean {
  const isGpu = (set: readonly string[]) => set.includes("gpu");
  return (reservations.devices ?? []).some(({ capabilities }) => !capabilities.some(isGpu));
}

function scaleOf(service: Cursor): Pick<ServiceSpec, "mode" | "replicas"> {
  const deploy = service.get("deploy");
  const mode = modeOf(deploy?.get("mode"));
  const replicas = deploy?.get("replicas");
  const scale = service.get("scale");
  if (isGlobal({ mode })) {
    for (const given of [replicas, scale]) {
      given?.error(`does not go with deploy.mode: ${mode}, which runs one task on each node`);
    }
    return { mode, replicas: 1 };
  }
  const [wanted, scaled] = [replicas?.integer(0, REPLICAS_MAX), scale?.integer(0, REPLICAS_MAX)];
  if (wanted !== undefined && scaled !== undefined && wanted !== scaled) {
    scale?.error(`says otherwise than ${replicas?.path ?? ""}; keep one of them`);
  }
  return { mode, replicas: wanted ?? scaled ?? 1 };
}

function modeOf(mode: Cursor | undefined): ServiceSpec["mode"] {
  const text = mode?.text();
  if (text === undefined) return "replicated";
  const { data } = serviceModeSchema.safeParse(text);
  if (data !== undefined) return data;
  const modes = "replicated, global, replicated-job or global-job";
  mode?.error(`must be ${modes}, not ${quoted(text)}`);
  return "replicated";
}
