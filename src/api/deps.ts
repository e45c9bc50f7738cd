import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type {
  BundleKeys,
  BundleParts,
  BundleRequest,
  BundleResult,
  BundleSignature,
} from "../model/bundle.ts";
import type { Move } from "../core/reconcile/move-volumes.ts";
import type { RolloutOrder } from "../core/reconcile/rollout-orders.ts";
import type { LabelChange } from "../core/reconcile/node.ts";
import type { NodeId, ServiceId, TokenId } from "../model/ids.ts";
import type { ItemKind, ItemRequest } from "../model/item.ts";
import type { ImageCopy, Freed, KeptImage, LoadedImages } from "../model/image.ts";
import type { JoinAnswer, JoinRequest } from "../model/join.ts";
import type { KeySummary } from "../model/keyring.ts";
import type { LinkChange } from "../model/link.ts";
import type { Node } from "../model/node.ts";
import type { RegistryScope } from "../model/registry-scope.ts";
import type { AgentSession } from "../model/session.ts";
import type { StackSpec } from "../model/stack.ts";
import type { Happening } from "../model/event.ts";
import type { ClusterBackupStatus } from "../model/cluster-backup.ts";
import type { ApplyResult, Explanation, VersionInfo } from "../model/summary.ts";
import type { NewToken, TokenRequest } from "../model/token.ts";
import type { Executable, UpgradeRequest } from "../model/upgrade.ts";
import type { MoveProgress } from "../model/volume.ts";
import type { VaultStatus } from "../model/vault.ts";
import type { Store } from "../store/store.ts";
import type { Target } from "./read/target.ts";

/**
 * What the API needs of the server. Everything that changes the cluster is a call here; everything
 * that only looks is computed by src/api/read from the store's view.
 */
export interface ApiDeps {
  store: Store;
  version: VersionInfo;
  clock: Clock;
  log: Log;
  /** Makes the stack be what `spec` says, or only tells what that would mean. */
  applyStack(
    name: string,
    spec: StackSpec,
    options: { dryRun: boolean; prune: boolean },
  ): Promise<ApplyResult>;
  /** Begins the end of a stack that is there. */
  removeStack(name: string, options: { volumes: boolean }): Promise<void>;
  /** Sets the replicas of all these services, or of none. Each is replicated and may have them. */
  scale(services: ReadonlyMap<ServiceId, number>): Promise<void>;
  /** Replaces all tasks of a service that is there. */
  restart(service: ServiceId): Promise<void>;
  /**
   * `pause` takes no new task, `drain` also moves its tasks away, whatever it takes once
   * `deadlineMs` are over.
   */
  setAvailability(
    node: NodeId,
    availability: Node["availability"],
    deadlineMs?: number,
  ): Promise<void>;
  /** Pauses a rollout, lets it go on, promotes its canaries, or goes back to a revision. */
  orderRollout(service: ServiceId, order: RolloutOrder): Promise<void>;
  /** Makes a stack be what it was made to be before, or in the set of that number. */
  undoStack(name: string, to: number | undefined): Promise<ApplyResult>;
  /** Begins a run of a job that is there; answers its number. */
  runJob(service: ServiceId): Promise<number>;
  setLabels(node: NodeId, change: LabelChange): Promise<void>;
  setLink(node: NodeId, change: LinkChange): Promise<void>;
  /** Ends a node that is there; while it holds tasks only with `force`. */
  removeNode(node: NodeId, options: { force: boolean }): Promise<void>;
  /** Why a node's health is what it is, in one sentence without its full stop. */
  healthReason(node: NodeId): string;
  /** Why a task, service or node is in the state that it is in. */
  explain(target: Exclude<Target, { kind: "stack" }>): Explanation;
  /** Makes a node of a machine that has a join token. */
  join(request: JoinRequest): Promise<JoinAnswer>;
  createToken(request: TokenRequest): Promise<NewToken>;
  /** A new secret for a token; the old one opens nothing any more. */
  rotateToken(token: TokenId): Promise<NewToken>;
  revokeToken(token: TokenId): Promise<void>;
  /** The keys of the cluster's gossip, by their fingerprints. */
  gossipKeys: {
    list(show: boolean): KeySummary[];
    install(key?: string): Promise<KeySummary>;
    use(fingerprint: string): Promise<void>;
    remove(fingerprint: string): Promise<void>;
  };
  /** Moves volumes with the tasks that use them; resolves when these serve, or may soon. */
  moveVolumes(move: Move, tell: (progress: MoveProgress) => Promise<void>): Promise<void>;
  /** Calls for what happens and is written nowhere. */
  onHappening(listener: (happening: Happening) => void): void;
  clusterBackup: {
    /** Makes one now, sealed where there is a passphrase; nothing of it is left when it is read. */
    make(passphrase?: string): Promise<ReadableStream<Uint8Array>>;
    status(): ClusterBackupStatus;
  };
  /** Secrets and configs, and what opens them. */
  secrets: {
    /** Keeps a content until it is used; answers the id to use it by. */
    upload(bytes: Uint8Array): string;
    create(kind: ItemKind, request: ItemRequest): Promise<void>;
    /** Answers whether it is another content, and the services that get new tasks. */
    update(
      kind: ItemKind,
      name: string,
      upload: string,
    ): Promise<{ changed: boolean; services: string[] }>;
    remove(kind: ItemKind, name: string): Promise<void>;
    /** What a config holds, in its newest version where none is named. */
    configContent(name: string, number: number | undefined): Uint8Array;
    status(): VaultStatus;
    unlock(passphrase: string | undefined): Promise<void>;
    rotateKey(): Promise<void>;
    protect(passphrase: string | undefined): Promise<void>;
    /** Forgets every secret and config, where nobody can open them any more. */
    reset(): Promise<void>;
  };
  /** The images that the site keeps. */
  images: {
    /** Takes an archive, and has the nodes that are connected get what it holds. */
    load(archive: AsyncIterable<Uint8Array>): Promise<LoadedImages>;
    /** Brings one from a registry elsewhere, and has the connected nodes get it. */
    copy(copy: ImageCopy): Promise<LoadedImages>;
    /** Has the connected nodes with all these labels get images that the site keeps. */
    fetch(
      references: readonly string[],
      labels: Readonly<Record<string, string>>,
    ): Promise<LoadedImages>;
    list(): Promise<KeptImage[]>;
    /** The images as an archive. */
    save(references: readonly string[]): Promise<AsyncIterable<Uint8Array>>;
    /** Forgets a name; while a service may need the image only with `force`. */
    remove(reference: string, options: { force: boolean }): Promise<Freed>;
    /** Removes what no name and no revision of a service needs. */
    prune(): Promise<Freed>;
    /** A request to the registry, of one who may do only this there; absent means everything. */
    answer(request: Request, scopes?: readonly RegistryScope[]): Promise<Response>;
  };
  /** Everything for a site in one signed file. */
  bundles: {
    keys(): BundleKeys;
    /** What this cluster gives to a bundle, but for the blobs themselves. */
    parts(request: BundleRequest): Promise<BundleParts>;
    /** Signs what a bundle says of itself. */
    sign(text: string): BundleSignature;
    /** Digests of all blobs that are here. */
    blobs(): Promise<string[]>;
    blob(digest: string): Promise<AsyncIterable<Uint8Array>>;
    apply(
      bundle: AsyncIterable<Uint8Array>,
      options: {
        /** A public key, PEM, that is trusted besides those that always are. */
        trust: string | undefined;
        /** Whether only its executables of orchd are taken. */
        executablesOnly: boolean;
      },
    ): Promise<BundleResult>;
  };
  /** Other executables of orchd for its nodes. */
  upgrades: {
    /** Those that the site keeps. */
    executables(): Promise<Executable[]>;
    receive(source: AsyncIterable<Uint8Array>): Promise<Executable>;
    begin(request: UpgradeRequest): Promise<void>;
    /** Tells no more nodes. */
    cancel(): Promise<void>;
    isConnected(this: void, node: NodeId): boolean;
    /** What this server runs while it has no agent that could be told to run another one. */
    versionOfLoneServer(this: void): string | undefined;
  };
  /** The agent of a node, while it is connected. */
  session(node: NodeId): AgentSession | undefined;
  sessions(): AgentSession[];
}
