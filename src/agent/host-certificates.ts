import * as fs from "node:fs";
import { z } from "zod";
import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { equalJson } from "../lib/order.ts";
import type { CertifiedHost } from "../core/ingress/route-table.ts";
import { wildcardOf } from "../model/ingress-rule.ts";
import {
  CERTIFIED_HOSTS_MAX,
  type HostCertificatesAnswer,
  type HostCertificatesRequest,
} from "../model/join.ts";
import type { CertificateSource, Credentials } from "../net/ingress/listeners.ts";
import { checkCredentials } from "../pki/credentials.ts";
import { newKey } from "../pki/keys.ts";
import { newRequest } from "../pki/request.ts";
import { open, seal } from "../pki/seal.ts";

/** The file in a node's own folder. */
export const HOST_CERTIFICATES = "host-certificates.json";

/** How often it is looked which certificates are half through. */
const LOOK_MS = 3_600_000;
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 300_000;
/** People are told so long before one runs out: time to have another one made. */
const RUNS_OUT_SOON_MS = 14 * 86_400_000;

export interface HostCertificatesOptions {
  /** Where the key and the certificates are kept: a file for nobody else's eyes. */
  path: string;
  /** Seals keys that people gave; absent where those are not kept. */
  sealKey?: Uint8Array | undefined;
  clock: Clock;
  log: Log;
  /** Has a server issue certificates. */
  certify: (request: HostCertificatesRequest) => Promise<HostCertificatesAnswer>;
  /** Certificates were asked for, be there any or not. */
  onChange: () => void;
}

/** Of one that people gave, its key is sealed. */
const givenSchema = z.object({ certificate: z.string(), sealed: z.string(), files: z.string() });

const keptSchema = z.object({
  key: z.string(),
  certificates: z.record(z.string(), z.string()),
  given: z.record(z.string(), givenSchema).optional(),
});

interface Held extends Credentials {
  /** Milliseconds since 1970. */
  validTo: number;
  /** When there should be another one, in milliseconds since 1970. */
  renewAt: number;
  /** Which files it is from; absent for one of the cluster. */
  files?: string;
}

type Issued = HostCertificatesAnswer["certificates"][number];

/** Given ones are large: an answer with so many is none that is refused for its size. */
const GIVEN_AT_ONCE = 3;

/**
 * The certificates by which this node answers for hosts of the ingress. The node makes a key for
 * them itself and keeps it; a server signs, and a node that has none to ask goes on with what it
 * has on its disk.
 */
export class HostCertificates implements CertificateSource {
  readonly #options: HostCertificatesOptions;
  #key: string | undefined;
  readonly #held = new Map<string, Held>();
  #wanted: readonly CertifiedHost[] = [];
  #timer: Timer | undefined;
  #isAsking = false;
  #failures = 0;
  #isClosed = false;

  constructor(options: HostCertificatesOptions) {
    this.#options = options;
    this.#load();
  }

  certificateFor(host: string): Credentials | undefined {
    const wildcard = wildcardOf(host);
    return this.#held.get(host) ?? (wildcard === undefined ? undefined : this.#held.get(wildcard));
  }

  /** Hosts that are wanted and have no certificate, though one was asked for. */
  missing(): string[] {
    if (this.#failures === 0) return [];
    return this.#wanted.filter((one) => this.#lacks(one)).map(({ host }) => host);
  }

  /** Certificates that have little time left or none, each in a sentence that says what to do. */
  runningOut(): string[] {
    const now = this.#options.clock.now();
    return this.#wanted.flatMap(({ host }) => {
      const { validTo, files } = this.#held.get(host) ?? {};
      if (validTo === undefined || validTo - now > RUNS_OUT_SOON_MS) return [];
      const day = new Date(validTo).toISOString().slice(0, 10);
      const what = `the certificate for ${host} ${validTo > now ? "runs" : "ran"} out on ${day}`;
      // Those of the cluster are renewed long before, by whichever server answers.
      return files === undefined
        ? `${what}, and no server has renewed it`
        : `${what}: give its secret a newer one`;
    });
  }

  /** The hosts that there are to be certificates for, from now on. */
  want(hosts: readonly CertifiedHost[]): void {
    if (equalJson(hosts, this.#wanted)) return;
    this.#wanted = hosts;
    this.#failures = 0;
    void this.#look();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Asks for what is missing or half through, and looks again in a while. */
  async #look(): Promise<void> {
    if (this.#isAsking) return;
    this.#timer?.cancel();
    const { clock } = this.#options;
    const isDue = (one: CertifiedHost) => {
      return this.#lacks(one) || (this.#held.get(one.host)?.renewAt ?? 0) <= clock.now();
    };
    const [given, own] = partition(this.#wanted.filter(isDue), ({ files }) => files !== undefined);
    const due = [...own, ...given.slice(0, GIVEN_AT_ONCE)].slice(0, CERTIFIED_HOSTS_MAX);
    if (due.length === 0) {
      if (this.#wanted.length > 0) this.#lookIn(LOOK_MS);
      // Time alone makes news: one of them may be about to run out.
      return this.#options.onChange();
    }
    this.#isAsking = true;
    const got = await this.#ask(due.map(({ host }) => host));
    this.#isAsking = false;
    if (this.#isClosed) return;
    this.#failures = got === due.length ? 0 : this.#failures + 1;
    this.#options.onChange();
    this.#lookIn(got === due.length ? 0 : backoffMs(this.#failures));
  }

  #lookIn(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.after(delayMs, () => void this.#look());
  }

  /** Answers how many certificates came that are good. */
  async #ask(hosts: string[]): Promise<number> {
    const { certify, log } = this.#options;
    try {
      this.#key ??= await newKey();
      const key = this.#key;
      const { certificates } = await certify({ csr: await newRequest(key), hosts });
      const good = certificates.filter((issued) => this.#take(issued));
      if (good.length > 0) this.#save();
      return good.length;
    } catch (error) {
      // A server that is away comes back; what people are told of it once is enough.
      if (this.#failures === 0) log.warn(`no certificates for hosts: ${messageChainOf(error)}`);
      return 0;
    }
  }

  /** Whether there is none for the host, or one from other files than those that count now. */
  #lacks({ host, files }: CertifiedHost): boolean {
    const held = this.#held.get(host);
    return held === undefined || held.files !== files;
  }

  #take({ host, certificate, given }: Issued): boolean {
    const { clock, log } = this.#options;
    const key = given?.key ?? this.#key;
    if (key === undefined) return false;
    const checked = checkCredentials({ key, certificate, host, now: clock.now() });
    if ("problem" in checked) {
      log.warn(checked.problem);
      return false;
    }
    const { validFrom, validTo } = checked;
    // What people gave is replaced by people.
    this.#held.set(
      host,
      given === undefined
        ? { key, certificate, validTo, renewAt: (validFrom + validTo) / 2 }
        : { key, certificate, validTo, renewAt: Infinity, files: given.files },
    );
    return true;
  }

  #load(): void {
    const { path, log, sealKey } = this.#options;
    if (!fs.existsSync(path)) return;
    try {
      const kept = keptSchema.parse(JSON.parse(fs.readFileSync(path, "utf8")));
      this.#key = kept.key;
      for (const [host, certificate] of Object.entries(kept.certificates)) {
        this.#take({ host, certificate });
      }
      for (const [host, { certificate, sealed, files }] of Object.entries(kept.given ?? {})) {
        const key = sealKey && open(sealKey, host, sealed);
        if (key === undefined) continue;
        this.#take({ host, certificate, given: { key: new TextDecoder().decode(key), files } });
      }
    } catch {
      // What it says is a secret, and there are other certificates in a moment.
      log.warn(`${path} is damaged: certificates for hosts are asked for anew`);
    }
  }

  #kept(): z.infer<typeof keptSchema> {
    const { sealKey } = this.#options;
    const given: Record<string, z.infer<typeof givenSchema>> = {};
    const certificates: Record<string, string> = {};
    for (const [host, { key, certificate, files }] of this.#held) {
      if (files === undefined) certificates[host] = certificate;
      else if (sealKey !== undefined) {
        const sealed = seal(sealKey, host, new TextEncoder().encode(key));
        given[host] = { certificate, sealed, files };
      }
    }
    return { key: this.#key ?? "", certificates, given };
  }

  #save(): void {
    const { path, log } = this.#options;
    const wanted = new Set(this.#wanted.map(({ host }) => host));
    for (const host of this.#held.keys()) if (!wanted.has(host)) this.#held.delete(host);
    const text = JSON.stringify(this.#kept());
    try {
      // Whole or not at all, and for nobody else's eyes from its first byte on.
      fs.writeFileSync(`${path}.new`, text, { mode: 0o600, flush: true });
      fs.renameSync(`${path}.new`, path);
    } catch (error) {
      // A start without a server would have none; until then these are good.
      log.warn(`certificates for hosts are not on disk: ${messageChainOf(error)}`);
    }
  }
}

/** What a node keeps on its disk for others to look at. */
export interface KeptCertificate {
  host: string;
  /** PEM */
  certificate: string;
  /** By people, and not by the cluster. */
  isGiven: boolean;
}

/** @throws what the disk or the parser says; there being no file is no trouble */
export function readKeptCertificates(path: string): KeptCertificate[] {
  if (!fs.existsSync(path)) return [];
  const { certificates, given = {} } = keptSchema.parse(JSON.parse(fs.readFileSync(path, "utf8")));
  return [
    ...Object.entries(certificates).map(([host, certificate]) => {
      return { host, certificate, isGiven: false };
    }),
    ...Object.entries(given).map(([host, { certificate }]) => {
      return { host, certificate, isGiven: true };
    }),
  ];
}

function partition<T>(all: readonly T[], isFirst: (one: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}

function backoffMs(failures: number): number {
  return Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 16));
}
