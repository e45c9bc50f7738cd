import type { Brand } from "../src/lib/ids.ts";
import type { Assignment } from "../src/model/assignment.ts";
import type { Cluster } from "../src/model/cluster.ts";
import type { ContainerSpec, VolumeMount } from "../src/model/container.ts";
import { put } from "../src/model/change.ts";
import type { IngressRule } from "../src/model/ingress-rule.ts";
import type { NetworkChange } from "../src/model/network-change.ts";
import type { MapNode, MapService, MapTask, NetworkMap } from "../src/model/network-map.ts";
import type { Content, Grant, Item } from "../src/model/item.ts";
import type { Node } from "../src/model/node.ts";
import type { Probe } from "../src/model/probe.ts";
import type { Port, Service, ServiceSpec } from "../src/model/service.ts";
import type { Stack } from "../src/model/stack.ts";
import type { Task, TaskStatus } from "../src/model/task.ts";
import type { Token } from "../src/model/token.ts";
import type { Upgrade } from "../src/model/upgrade.ts";
import type { Vault } from "../src/model/vault.ts";
import { MemoryView } from "../src/model/view.ts";

const RANGE = "10.210.0.0/16";

/** A valid id that a reader can tell apart: `web` becomes `webxxxxxxxxx`. */
export function anId<Name extends string>(name: string): Brand<Name> {
  return name.padEnd(12, "x") as Brand<Name>;
}

/** An active, ready node with 4 cores and 4 GiB, named by its id. */
export function aNode(name = "n1", over: Partial<Node> = {}): Node {
  return {
    id: anId(name),
    hostname: name,
    address: "192.0.2.1",
    platform: { os: "linux", arch: "amd64" },
    resources: { cpuMillis: 4000, memoryBytes: 4 * 2 ** 30 },
    runtime: { name: "fake", version: "1" },
    orchdVersion: "0.1.0",
    roles: { server: false, agent: true },
    labels: {},
    availability: "active",
    health: "ready",
    createdAt: 0,
    since: 0,
    version: 0,
    ...over,
  };
}

export function aVolumeMount(volume: string): VolumeMount {
  return {
    type: "volume",
    volume,
    target: "/data",
    readOnly: false,
    noCopy: false,
    external: false,
    driverOptions: {},
    labels: {},
  };
}

export function aContainer(over: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    image: "localhost/web:1",
    pullPolicy: "missing",
    environment: {},
    labels: {},
    annotations: {},
    groupAdd: [],
    init: false,
    tty: false,
    stdinOpen: false,
    readOnly: false,
    privileged: false,
    capAdd: [],
    capDrop: [],
    securityOptions: [],
    devices: [],
    mounts: [],
    sysctls: {},
    ulimits: [],
    oomKillDisable: false,
    networkMode: "bridge",
    pidMode: "private",
    ipcMode: "private",
    utsMode: "private",
    extraHosts: [],
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    stopGraceMs: 10_000,
    ...over,
  };
}

/** A probe of a TCP port with Docker's numbers, and no start period. */
export function aProbe(over: Partial<Probe> = {}): Probe {
  return {
    check: { type: "tcp", port: 80 },
    intervalMs: 30_000,
    timeoutMs: 30_000,
    failures: 3,
    successes: 1,
    startPeriodMs: 0,
    startIntervalMs: 5000,
    ...over,
  };
}

export function aPort(over: Partial<Port> = {}): Port {
  return { target: 80, published: 8080, protocol: "tcp", mode: "ingress", ...over };
}

/** One replica that is restarted by orchd's defaults and replaced stop-first, one at a time. */
export function aSpec(over: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    mode: "replicated",
    replicas: 1,
    container: aContainer(),
    resources: { limits: {}, reservations: { cpuMillis: 0, memoryBytes: 0 } },
    ports: [],
    networks: [],
    placement: { constraints: [], spread: [], maxReplicasPerNode: 0 },
    restart: aRestart(),
    update: { order: "stop-first", parallelism: 1, delayMs: 0 },
    disconnect: { replaceAfterMs: 3000, reconcile: "keep-original" },
    labels: {},
    restarts: 0,
    ...over,
  };
}

export function aRestart(over: Partial<ServiceSpec["restart"]> = {}): ServiceSpec["restart"] {
  return {
    condition: "any",
    delayMs: 1000,
    delayMaxMs: 300_000,
    resetAfterMs: 600_000,
    windowMs: 0,
    ...over,
  };
}

/** The reservations of a spec, with no limits. */
export function reserving(cpuMillis: number, memoryBytes = 0): ServiceSpec["resources"] {
  return { limits: {}, reservations: { cpuMillis, memoryBytes } };
}

/** The service `shop/web` at its first revision. */
export function aService(spec: Partial<ServiceSpec> = {}, over: Partial<Service> = {}): Service {
  return {
    id: anId("web"),
    stack: "shop",
    name: "web",
    revisions: [{ revision: 1, at: 0, spec: aSpec(spec) }],
    templateRevision: 1,
    createdAt: 0,
    removing: false,
    version: 0,
    ...over,
  };
}

/** The same service after its image changed: every task of an older revision is outdated. */
export function withNewImage(service: Service, spec: Partial<ServiceSpec> = {}): Service {
  const [head] = service.revisions;
  const revision = (head?.revision ?? 0) + 1;
  const container = aContainer({ image: `localhost/web:${revision}` });
  const next = { ...(head?.spec ?? aSpec()), container, ...spec };
  return {
    ...service,
    revisions: [{ revision, at: 0, spec: next }, ...service.revisions],
    templateRevision: revision,
  };
}

/** A task of `service` in slot 1 of node n1, running and ready since time 0. */
export function aTask(service: Service, name: string, over: Partial<Task> = {}): Task {
  return {
    id: anId(name),
    serviceId: service.id,
    stack: service.stack,
    service: service.name,
    slot: "1",
    revision: service.templateRevision,
    createdAt: 0,
    attempt: 1 + (over.createdAt ?? 0),
    failures: 0,
    nodeId: anId("n1"),
    desired: "running",
    state: "running",
    health: "none",
    message: "",
    since: 0,
    startedAt: 0,
    version: 0,
    ...over,
  };
}

/** A task without a node, as the reconciler makes it. */
export function aPendingTask(service: Service, name: string, over: Partial<Task> = {}): Task {
  const { nodeId: _, startedAt: __, ...task } = aTask(service, name, { state: "pending" });
  return { ...task, ...over };
}

export function aStack(name = "shop", over: Partial<Stack> = {}): Stack {
  const flags = { removing: false, removeVolumes: false };
  return { name, volumes: [], createdAt: 0, updatedAt: 0, ...flags, version: 0, ...over };
}

/** A cluster whose keys open nothing. */
export function aCluster(over: Partial<Cluster> = {}): Cluster {
  return {
    id: "cluster",
    caCertificate: "the CA's certificate",
    caKey: "the CA's key",
    gossipKeys: [`${"a".repeat(43)}=`],
    range: RANGE,
    networkMode: "vxlan",
    createdAt: 0,
    version: 0,
    ...over,
  };
}

/** A join token that never ends. */
export function aToken(name: string, over: Partial<Token> = {}): Token {
  return {
    id: anId(name),
    kind: "join",
    secretDigest: "0".repeat(52),
    description: "",
    createdAt: 0,
    uses: 0,
    version: 0,
    ...over,
  };
}

/** An upgrade of no node. */
export function anUpgrade(over: Partial<Upgrade> = {}): Upgrade {
  return {
    id: "upgrade",
    run: "u1",
    to: "2.0.0",
    order: "agentsFirst",
    parallel: 1,
    withinMs: 60_000,
    force: false,
    state: "running",
    startedAt: 0,
    executables: [],
    nodes: [],
    version: 0,
    ...over,
  };
}

/** A vault that nothing opens. */
export function aVault(over: Partial<Vault> = {}): Vault {
  return {
    id: "vault",
    keyNumber: 1,
    sealedKey: "sealed",
    protection: { by: "keyFile" },
    keyAt: 0,
    version: 0,
    ...over,
  };
}

/** The secret `shop_pass` in its first version; its digest says `one`. */
export function anItem(over: Partial<Item> = {}): Item {
  return {
    id: anId("pass"),
    kind: "secret",
    name: "shop_pass",
    stack: "shop",
    labels: {},
    isTemplate: false,
    createdAt: 0,
    versions: [{ number: 1, at: 0, sizeBytes: 3, digest: "0".repeat(52) }],
    version: 0,
    ...over,
  };
}

/** A service's share in that secret, at this version of it. */
export function aGrant(number: number, over: Partial<Grant> = {}): Grant {
  return {
    kind: "secret",
    name: "shop_pass",
    target: "/run/secrets/pass",
    uid: 0,
    gid: 0,
    mode: 0o444,
    content: { id: anId("pass"), number },
    ...over,
  };
}

export interface World {
  cluster?: Cluster;
  tokens?: Token[];
  nodes?: Node[];
  stacks?: Stack[];
  services?: Service[];
  tasks?: Task[];
  items?: Item[];
  contents?: Content[];
}

/** A view at version 1 that holds all of these; node n1 where none is named. */
export function aView({
  cluster,
  tokens = [],
  nodes = [aNode()],
  stacks = [],
  services = [],
  tasks = [],
  items = [],
  contents = [],
}: World): MemoryView {
  const view = new MemoryView();
  const changes = [
    ...(cluster === undefined ? [] : [put.cluster(cluster)]),
    ...tokens.map(put.token),
    ...nodes.map(put.node),
    ...stacks.map(put.stack),
    ...services.map(put.service),
    ...tasks.map(put.task),
    ...items.map(put.item),
    ...contents.map(put.content),
  ];
  view.apply(changes, 1);
  return view;
}

export function anAssignment(name: string, over: Partial<Assignment> = {}): Assignment {
  return {
    taskId: anId(name),
    serviceId: anId("web"),
    stack: "shop",
    service: "web",
    slot: "1",
    revision: 1,
    desired: "running",
    state: "assigned",
    container: aContainer({ networkMode: "none" }),
    resources: aSpec().resources,
    ports: [],
    failures: 0,
    ...over,
  };
}

/** The map of a network without tasks: node n1 and `shop/web`. */
export function aMap(over: Partial<NetworkMap> = {}): NetworkMap {
  const nodes = [aMapNode("n1")];
  const services = [aMapService("web")];
  return { generation: 1, mode: "vxlan", range: RANGE, nodes, services, tasks: [], ...over };
}

/** n1 has the second network of the range, n2 the third. */
export function aMapNode(name: string, over: Partial<MapNode> = {}): MapNode {
  const number = Number(name.slice(1));
  const subnet = `10.210.${number}.0/24`;
  return { id: anId(name), hostname: name, address: `192.0.2.${number}`, subnet, ...over };
}

/** A service of the stack shop, in its default network. */
export function aMapService(name: string, over: Partial<MapService> = {}): MapService {
  const networks = [{ network: "shop_default", aliases: [], internal: false }];
  return { id: anId(name), stack: "shop", name, networks, ports: [], ...over };
}

/** A ready task of `shop/web` on n1. */
export function anIngressRule(over: Partial<IngressRule> = {}): IngressRule {
  return {
    host: "shop.example.org",
    path: "/",
    port: 80,
    strip: false,
    tls: "off",
    redirect: false,
    sticky: false,
    timeoutMs: 60_000,
    ...over,
  };
}

export function aMapTask(name: string, over: Partial<MapTask> = {}): MapTask {
  const where = { nodeId: anId<"node">("n1"), address: "10.210.1.2" };
  return { id: anId(name), serviceId: anId("web"), slot: "1", ...where, isReady: true, ...over };
}

/** What makes a map whole, or with `base` changes one. */
export function aNetworkChange(over: Partial<NetworkChange> = {}): NetworkChange {
  return { ...aMap(), removed: { nodes: [], services: [], tasks: [] }, ...over };
}

export function aStatus(name: string, over: Partial<TaskStatus> = {}): TaskStatus {
  return { taskId: anId(name), state: "running", health: "none", message: "", since: 0, ...over };
}
