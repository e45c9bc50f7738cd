import type { ClusterBackupStatus } from "../model/cluster-backup.ts";
import type { Event } from "../model/event.ts";
import type {
  ByteStream,
  ExecOptions,
  ExecSession,
  ImageSummary,
  LogOptions,
} from "../model/session.ts";
import type { Freed, ImageCopyRequest, KeptImage, LoadedImages } from "../model/image.ts";
import type { ItemKind, ItemRequest, ItemSummary, ItemUpdateResult } from "../model/item.ts";
import type { KeySummary } from "../model/keyring.ts";
import type { LinkChange } from "../model/link.ts";
import type { NetworkInspection, NetworkSummary } from "../model/network-summary.ts";
import type { NewToken, TokenRequest, TokenSummary } from "../model/token.ts";
import type { StackSpec } from "../model/stack.ts";
import type { VaultStatus } from "../model/vault.ts";
import type {
  AppliedSetSummary,
  ApplyResult,
  Explanation,
  NodeInspection,
  NodeSummary,
  Progress,
  RevisionSummary,
  RolloutOrder,
  RolloutSummary,
  ServiceSummary,
  StackSummary,
  StartedRun,
  TaskLogLine,
  TaskSummary,
  VersionInfo,
} from "../model/summary.ts";
import type { MoveProgress, VolumeSummary } from "../model/volume.ts";
import { BundleCalls } from "./client-bundles.ts";
import { openExec } from "./client-exec.ts";
import { openByteStream } from "./client-byte-stream.ts";
import { queryOf, segmentOf } from "./client-query.ts";
import type { TlsServer } from "./client-tls.ts";
import { UpgradeCalls } from "./client-upgrade.ts";
import { VolumeFileCalls } from "./client-volume-files.ts";
import { UnixTransport, type Transport } from "./client-transport.ts";

/** What a name that a person typed stands for. */
export interface Resolved {
  kind: "stack" | "service" | "task" | "node";
  id: string;
  name: string;
  stack?: string;
  service?: string;
}

export interface NodeImages {
  node: string;
  images: ImageSummary[];
}

export interface TaskFilter {
  stack?: string;
  service?: string;
  /** Also those that have ended. */
  all?: boolean;
}

export interface EventOptions {
  follow: boolean;
  /** Milliseconds since 1970. */
  since?: number;
}

/** For calls that the server answers from memory. */
const CALL_TIMEOUT_MS = 60_000;

/**
 * The API of a server, typed. Shapes are those of the model; the server validates them, so that
 * the client does not do it again. Every method fails with an `OrchdError`; streams end quietly
 * when their signal aborts.
 */
export class ApiClient {
  readonly bundles: BundleCalls;
  readonly upgrade: UpgradeCalls;
  readonly volumeFiles: VolumeFileCalls;
  readonly #transport: Transport;
  readonly #timeoutMs: number;

  /** @param timeoutMs the longest that a call may take; streams and uploads are not limited */
  constructor(transport: Transport, timeoutMs = CALL_TIMEOUT_MS) {
    this.#transport = transport;
    this.bundles = new BundleCalls(transport);
    this.upgrade = new UpgradeCalls(transport);
    this.volumeFiles = new VolumeFileCalls(transport);
    this.#timeoutMs = timeoutMs;
  }

  static onSocket(path: string, timeoutMs?: number): ApiClient {
    return new ApiClient(new UnixTransport(path), timeoutMs);
  }

  /** @param server where it is, whom to believe, and what opens it */
  static async onServer(server: TlsServer, timeoutMs?: number): Promise<ApiClient> {
    const { TlsTransport } = await import("./client-tls.ts");
    return new ApiClient(new TlsTransport(server), timeoutMs);
  }

  version(): Promise<VersionInfo> {
    return this.#get("/v1/version");
  }

  stacks(): Promise<StackSummary[]> {
    return this.#get("/v1/stacks");
  }

  /** Makes the stack be what `spec` says, or with `dryRun` tells what that would change. */
  apply(
    stack: string,
    spec: StackSpec,
    options: { dryRun?: boolean; prune?: boolean } = {},
  ): Promise<ApplyResult> {
    const path = `/v1/stacks/${segmentOf(stack)}${queryOf(options)}`;
    return this.#call("PUT", path, spec);
  }

  /** Begins the removal; it is done when the stack's progress says so. */
  async remove(stack: string, options: { volumes?: boolean } = {}): Promise<void> {
    await this.#call("DELETE", `/v1/stacks/${segmentOf(stack)}${queryOf(options)}`);
  }

  /** How far the stack is: now, and at each change until it is removed. */
  progress(stack: string, signal: AbortSignal): AsyncGenerator<Progress> {
    return this.#stream(`/v1/stacks/${segmentOf(stack)}/progress`, signal);
  }

  services(stack?: string): Promise<ServiceSummary[]> {
    return this.#get(`/v1/services${queryOf({ stack })}`);
  }

  /** Sets the replicas of all named services, or of none when one of them can't be scaled. */
  scale(services: Record<string, number>): Promise<ServiceSummary[]> {
    return this.#call("POST", "/v1/scale", { services });
  }

  /** How far the service's rollout is. */
  rollout(stack: string, service: string): Promise<RolloutSummary> {
    return this.#get(`${servicePath(stack, service)}/rollout`);
  }

  /** Pauses a rollout, lets it go on, promotes its canaries, or goes back to a revision. */
  orderRollout(stack: string, service: string, order: RolloutOrder): Promise<RolloutSummary> {
    return this.#call("POST", `${servicePath(stack, service)}/rollout`, order);
  }

  /** The revisions of the service that are kept, the newest first. */
  revisions(stack: string, service: string): Promise<RevisionSummary[]> {
    return this.#get(`${servicePath(stack, service)}/revisions`);
  }

  /** What the stack was made to be lately, the newest first. */
  sets(stack: string): Promise<AppliedSetSummary[]> {
    return this.#get(`/v1/stacks/${segmentOf(stack)}/sets`);
  }

  /** Makes the stack be what it was made to be before, or in the set of that number. */
  undoStack(stack: string, to?: number): Promise<ApplyResult> {
    const body = to === undefined ? {} : { to };
    return this.#call("POST", `/v1/stacks/${segmentOf(stack)}/undo`, body);
  }

  restart(stack: string, service: string): Promise<ServiceSummary> {
    return this.#call("POST", `${servicePath(stack, service)}/restart`);
  }

  /** Begins a run of a job now. */
  runJob(stack: string, service: string): Promise<StartedRun> {
    return this.#call("POST", `${servicePath(stack, service)}/run`);
  }

  serviceProgress(stack: string, service: string, signal: AbortSignal): AsyncGenerator<Progress> {
    return this.#stream(`${servicePath(stack, service)}/progress`, signal);
  }

  /** Fails with `notFound` and a suggestion, or with `conflict` when several have the name. */
  resolve(target: string): Promise<Resolved> {
    return this.#get(`/v1/resolve${queryOf({ target })}`);
  }

  tasks(filter: TaskFilter = {}): Promise<TaskSummary[]> {
    return this.#get(`/v1/tasks${queryOf({ ...filter })}`);
  }

  /** @param target a service or a task */
  logs(target: string, options: LogOptions, signal: AbortSignal): AsyncGenerator<TaskLogLine> {
    return this.#stream(`/v1/logs${queryOf({ target, ...options })}`, signal);
  }

  /** Starts a command in a task; resolves once it runs. */
  async exec(task: string, options: ExecOptions): Promise<ExecSession> {
    const socket = await this.#transport.webSocket(`/v1/exec${queryOf({ task })}`);
    return openExec(socket, options, (error) => this.#transport.explain(error));
  }

  /** Connects to a TCP port of a running task; resolves once the connection is there. */
  async forward(task: string, port: number): Promise<ByteStream> {
    const socket = await this.#transport.webSocket(`/v1/forward${queryOf({ task, port })}`);
    return openByteStream(socket, (error) => this.#transport.explain(error));
  }

  events(options: EventOptions, signal: AbortSignal): AsyncGenerator<Event> {
    return this.#stream(`/v1/events${queryOf({ ...options })}`, signal);
  }

  explain(target: string): Promise<Explanation> {
    return this.#get(`/v1/explain${queryOf({ target })}`);
  }

  nodes(): Promise<NodeSummary[]> {
    return this.#get("/v1/nodes");
  }

  networks(): Promise<NetworkSummary[]> {
    return this.#get("/v1/networks");
  }

  /** Fails with `notFound` and a suggestion. */
  network(name: string): Promise<NetworkInspection> {
    return this.#get(`/v1/networks/${segmentOf(name)}`);
  }

  tokens(): Promise<TokenSummary[]> {
    return this.#get("/v1/tokens");
  }

  /** The only answer that holds the token's text. */
  createToken(request: Partial<TokenRequest>): Promise<NewToken> {
    return this.#call("POST", "/v1/tokens", request);
  }

  /** A new secret for the same token; the old one opens nothing from then on. */
  rotateToken(id: string): Promise<NewToken> {
    return this.#call("POST", `/v1/tokens/${segmentOf(id)}/rotate`);
  }

  async revokeToken(id: string): Promise<void> {
    await this.#call("DELETE", `/v1/tokens/${segmentOf(id)}`);
  }

  /** The keys of the cluster's gossip. @param show whether the keys themselves are told */
  keyring(show: boolean): Promise<KeySummary[]> {
    return this.#get(`/v1/keyring${queryOf({ show })}`);
  }

  /** @param key base 64; the server makes a random one where it is absent */
  installKey(key?: string): Promise<KeySummary> {
    return this.#call("POST", "/v1/keyring", key === undefined ? {} : { key });
  }

  async useKey(fingerprint: string): Promise<void> {
    await this.#call("POST", `/v1/keyring/${segmentOf(fingerprint)}/use`);
  }

  async removeKey(fingerprint: string): Promise<void> {
    await this.#call("DELETE", `/v1/keyring/${segmentOf(fingerprint)}`);
  }

  /** Sends a content, to be used within minutes by the id that this answers. */
  async upload(bytes: Uint8Array): Promise<string> {
    const upload = new Blob([new Uint8Array(bytes)]);
    const timeoutMs = this.#timeoutMs;
    const request = { method: "POST", path: "/v1/uploads", upload, timeoutMs } as const;
    return ((await this.#transport.call(request)) as { upload: string }).upload;
  }

  items(kind: ItemKind): Promise<ItemSummary[]> {
    return this.#get(`/v1/${kind}s`);
  }

  /** @param name a name or an id */
  item(kind: ItemKind, name: string): Promise<ItemSummary> {
    return this.#get(itemPath(kind, name));
  }

  createItem(kind: ItemKind, request: ItemRequest): Promise<ItemSummary> {
    return this.#call("POST", `/v1/${kind}s`, request);
  }

  /** Gives an item what was sent under that id; services that use it get new tasks. */
  updateItem(kind: ItemKind, name: string, upload: string): Promise<ItemUpdateResult> {
    return this.#call("PUT", itemPath(kind, name), { upload });
  }

  async removeItem(kind: ItemKind, name: string): Promise<void> {
    await this.#call("DELETE", itemPath(kind, name));
  }

  /** What a config holds, in its newest version where none is named. */
  async configContent(name: string, version?: number): Promise<Uint8Array> {
    const path = `${itemPath("config", name)}/content${queryOf({ version })}`;
    const { content } = await this.#get<{ content: string }>(path);
    return new Uint8Array(Buffer.from(content, "base64"));
  }

  vault(): Promise<VaultStatus> {
    return this.#get("/v1/vault");
  }

  /** @param passphrase absent where a key file opens the secrets, which is read again */
  unlock(passphrase?: string): Promise<VaultStatus> {
    return this.#call("POST", "/v1/vault/unlock", { passphrase });
  }

  /** A new key for all contents. */
  rotateSecretKey(): Promise<VaultStatus> {
    return this.#call("POST", "/v1/vault/key");
  }

  /** @param passphrase absent means that a new key file opens the secrets */
  protect(passphrase?: string): Promise<VaultStatus> {
    return this.#call("PUT", "/v1/vault/protection", { passphrase });
  }

  /** Forgets every secret and config of a server that nobody can unlock any more. */
  resetVault(): Promise<VaultStatus> {
    return this.#call("DELETE", "/v1/vault");
  }

  /** @param node a host name, an id, or the start of an id */
  node(node: string): Promise<NodeInspection> {
    return this.#get(nodePath(node));
  }

  /** @param deadlineMs of a drain: when its tasks end also if nothing took their place */
  setAvailability(
    node: string,
    availability: NodeSummary["availability"],
    deadlineMs?: number,
  ): Promise<NodeSummary> {
    return this.#call("PUT", `${nodePath(node)}/availability`, { availability, deadlineMs });
  }

  setLabels(
    node: string,
    change: { set: Record<string, string>; remove: string[] },
  ): Promise<NodeSummary> {
    return this.#call("POST", `${nodePath(node)}/labels`, change);
  }

  setLink(node: string, change: LinkChange): Promise<NodeSummary> {
    return this.#call("POST", `${nodePath(node)}/link`, change);
  }

  /** Ends a node; while it is there and holds tasks only with `force`. */
  async removeNode(node: string, options: { force?: boolean } = {}): Promise<void> {
    await this.#call("DELETE", `${nodePath(node)}${queryOf(options)}`);
  }

  images(): Promise<NodeImages[]> {
    return this.#get("/v1/images");
  }

  /** @param archive a docker-archive or OCI archive, also compressed by gzip */
  loadImage(archive: Blob | ReadableStream<Uint8Array>): Promise<LoadedImages> {
    const request = { method: "POST", path: "/v1/images", upload: archive } as const;
    return this.#transport.call(request) as Promise<LoadedImages>;
  }

  /** Keeps an image of a registry elsewhere, and has every connected node get it. */
  copyImage(body: ImageCopyRequest): Promise<LoadedImages> {
    const request = { method: "POST", path: "/v1/images/copy", body } as const;
    return this.#transport.call(request) as Promise<LoadedImages>;
  }

  /** Has the connected nodes with all these labels get images that the site keeps. */
  fetchImages(
    references: readonly string[],
    labels: Readonly<Record<string, string>>,
  ): Promise<LoadedImages> {
    const body = { references, labels };
    const request = { method: "POST", path: "/v1/images/fetch", body } as const;
    return this.#transport.call(request) as Promise<LoadedImages>;
  }

  /** The images that the site keeps. */
  keptImages(): Promise<KeptImage[]> {
    return this.#get("/v1/images/kept");
  }

  /** Forgets a name of an image; while a service may need it only with `force`. */
  removeImage(reference: string, options: { force?: boolean } = {}): Promise<Freed> {
    return this.#long("DELETE", `/v1/images/kept${queryOf({ reference, ...options })}`);
  }

  /** Removes what no name and no revision of a service needs. */
  pruneImages(): Promise<Freed> {
    return this.#long("POST", "/v1/images/prune");
  }

  /** Images as an OCI archive; one that breaks off misses its end. */
  saveImages(references: readonly string[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const query = references.map((one) => `reference=${encodeURIComponent(one)}`).join("&");
    return this.#transport.download({ method: "GET", path: `/v1/images/archive?${query}` }, signal);
  }

  /** @param options.sizes whether each is measured, which takes its time */
  volumes(options: { sizes?: boolean } = {}): Promise<VolumeSummary[]> {
    const path = `/v1/volumes${queryOf(options)}`;
    return this.#transport.call({ method: "GET", path }) as Promise<VolumeSummary[]>;
  }

  volume(name: string): Promise<VolumeSummary[]> {
    const path = `/v1/volumes/${segmentOf(name)}`;
    return this.#transport.call({ method: "GET", path }) as Promise<VolumeSummary[]>;
  }

  async removeVolume(name: string, node?: string): Promise<void> {
    await this.#call("DELETE", `/v1/volumes/${segmentOf(name)}${queryOf({ node })}`);
  }

  /** Moves volumes with the tasks that use them; ends when they may start there. */
  moveVolumes(
    volumes: readonly string[],
    node: string,
    signal: AbortSignal,
  ): AsyncGenerator<MoveProgress> {
    const body = { volumes, node };
    const request = { method: "POST", path: "/v1/volumes/move", body } as const;
    return this.#transport.stream(request, signal) as AsyncGenerator<MoveProgress>;
  }

  clusterBackupStatus(): Promise<ClusterBackupStatus> {
    return this.#get("/v1/backup");
  }

  /** A backup of the cluster's state; its end tells whether all of it came. */
  backUpCluster(passphrase: string | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const body = passphrase === undefined ? {} : { passphrase };
    return this.#transport.download({ method: "POST", path: "/v1/backup", body }, signal);
  }

  /** Takes as long as it takes. */
  #long<T>(method: "POST" | "DELETE", path: string): Promise<T> {
    return this.#transport.call({ method, path }) as Promise<T>;
  }

  #get<T>(path: string): Promise<T> {
    return this.#call("GET", path);
  }

  #call<T>(method: "GET" | "PUT" | "POST" | "DELETE", path: string, body?: unknown): Promise<T> {
    const request = { method, path, body, timeoutMs: this.#timeoutMs };
    // The server made the answer from the same type.
    return this.#transport.call(request) as Promise<T>;
  }

  #stream<T>(path: string, signal: AbortSignal): AsyncGenerator<T> {
    // The server made each line from the same type.
    return this.#transport.stream({ method: "GET", path }, signal) as AsyncGenerator<T>;
  }
}

function nodePath(node: string): string {
  return `/v1/nodes/${segmentOf(node)}`;
}

function itemPath(kind: ItemKind, name: string): string {
  return `/v1/${kind}s/${segmentOf(name)}`;
}

function servicePath(stack: string, service: string): string {
  return `/v1/services/${segmentOf(stack)}/${segmentOf(service)}`;
}
