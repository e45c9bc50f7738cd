import { seededRandom, type Random } from "../../src/lib/random.ts";
import { isGlobal, restartOf, specOf } from "../../src/model/service.ts";
import type { Service, ServiceSpec } from "../../src/model/service.ts";
import { crashSome, formatGone, isAtWork, slotsAtWork } from "./alone.ts";
import type { Bug } from "./bug.ts";
import { between, happens, oneOf } from "./chance.ts";
import { Cluster, type Place } from "./cluster.ts";
import type { ServerProcess } from "./server-process.ts";
import { IN_FLIGHT_MAX_MS } from "./simulated-runtime.ts";
import { Trace } from "./trace.ts";
import { Trouble } from "./trouble.ts";
import { down, drawDeed, order, restart, scale, setAvailability, setZone } from "./users.ts";
import type { Violation } from "./violation.ts";

/** How long the cluster may take to become what was asked for, once nothing fails any more. */
const CONVERGE_MAX_MS = 30 * 60_000;
/** How much longer it may take where rollouts wait for their windows, which are often open. */
const WINDOWS_MAX_MS = 60 * 60_000;
/** Longer than the longest wait for a restart. */
const ALONE_MS = 6 * 60_000;
const STEPS_MAX = 200_000;
const HOUR_MS = 3_600_000;
const JUMPS_MS = [-24 * HOUR_MS, -HOUR_MS, -20_000, 20_000, HOUR_MS, 24 * HOUR_MS];
/** Programs that end by themselves, as those of jobs. */
const ENDING: ReadonlySet<string> = new Set(["job", "long-job", "stumbling"]);

export interface RunResult {
  violation: Violation | undefined;
  /** Two runs of one seed have the same hash. */
  hash: string;
  /** The last lines of what happened. */
  trace: readonly string[];
  steps: number;
  /** Virtual time from the end of the faults until everything was as asked for. */
  convergedAfterMs: number;
}

export interface RunOptions {
  seed: string;
  bug?: Bug | undefined;
  onLine?: ((line: string) => void) | undefined;
}

/** One run: everything goes wrong for a while, then nothing does and the cluster has to heal. */
export async function runSimulation({ seed, bug, onLine }: RunOptions): Promise<RunResult> {
  const trace = new Trace(onLine);
  const cluster = new Cluster({ seed, trace, bug });
  const run = new Run(cluster, seededRandom(seed).split("run"));
  await run.suffer();
  const convergedAfterMs = await run.heal();
  await run.beAlone();
  return {
    violation: cluster.checks.violation,
    hash: trace.hash(),
    trace: trace.last(),
    steps: cluster.clock.steps,
    convergedAfterMs,
  };
}

class Run {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #pauses: Random;
  readonly #jumps: Random;
  /** A machine that stays out of reach, without its power or its link. */
  #away: Place | undefined;
  readonly #trouble: Trouble;
  #isBusy = false;
  #suffers = true;

  constructor(cluster: Cluster, random: Random) {
    this.#cluster = cluster;
    this.#trouble = new Trouble(cluster, () => this.#away);
    this.#random = random;
    this.#pauses = random.split("pauses");
    this.#jumps = random.split("jumps");
  }

  /** The phase in which users act and things fail; what must always hold is checked. */
  async suffer(): Promise<void> {
    const { clock, places } = this.#cluster;
    this.#cluster.startServer();
    for (const place of places) this.#cluster.startAgent(place);
    this.#act();
    this.#fail();
    await this.#pass(clock.now() + between(this.#random, 60, 240) * 1000);
    this.#suffers = false;
  }

  /**
   * The phase in which nothing fails: answers how long it took to become what was asked for. At
   * times one machine stays out of reach at first, and the others have to do without it.
   */
  async heal(): Promise<number> {
    const { clock, checks, places } = this.#cluster;
    if (checks.violation !== undefined) return 0;
    this.#cluster.stopFaults();
    if (places.length >= 4 && happens(this.#random, 0.5)) {
      this.#away = oneOf(this.#random, places.slice(1));
      this.#takeAway(this.#away);
    }
    // What an agent was about when it died is over before the next one starts.
    await this.#pass(clock.now() + IN_FLIGHT_MAX_MS);
    this.#revive();
    // What was under way when the faults stopped may still wait for a lost answer.
    await this.#pass(clock.now() + 60_000);
    await this.#calmDown();
    const begin = clock.now();
    await this.#converge();
    if (this.#away === undefined || checks.violation !== undefined) return clock.now() - begin;
    this.#away = undefined;
    this.#revive();
    await this.#pass(clock.now() + 60_000);
    await this.#converge();
    return clock.now() - begin;
  }

  /**
   * At times a phase without any server, in which programs crash and a machine loses its power as
   * well: agents go on with what their slots hold, and with nothing else.
   */
  async beAlone(): Promise<void> {
    const { clock, checks, places } = this.#cluster;
    const random = this.#random.split("alone");
    if (checks.violation !== undefined || !happens(random, 0.5)) return;
    checks.noteOver();
    // Agents are told of what was decided last.
    await this.#pass(clock.now() + 5000);
    this.#cluster.killServer();
    const kept = places.flatMap(slotsAtWork);
    crashSome(random, places);
    const place = oneOf(random, places);
    this.#cluster.cutPower(place, happens(random, 0.5));
    await this.#pass(clock.now() + 5000);
    this.#cluster.restorePower(place);
    await this.#pass(clock.now() + ALONE_MS);
    const gone = kept.find((slot) => !isAtWork(slot));
    if (gone !== undefined) checks.broken("O1", formatGone(gone));
  }

  /** Lets time pass until the cluster is what was asked for. */
  async #converge(): Promise<void> {
    const { clock, checks, disk } = this.#cluster;
    const services = [...disk.view.services.values()];
    const isTimed = services.some((service) => specOf(service).rollout?.windows !== undefined);
    const until = clock.now() + CONVERGE_MAX_MS + (isTimed ? WINDOWS_MAX_MS : 0);
    let trouble = this.#trouble.find();
    while (trouble !== undefined && clock.now() < until) {
      await this.#steer();
      await this.#pass(clock.now() + 1000);
      if (checks.violation !== undefined) return;
      trouble = this.#trouble.find();
    }
    if (trouble !== undefined) checks.broken(trouble.invariant, trouble.message);
  }

  /** Lets time pass, with every check after every event, until `untilMs` or the first violation. */
  async #pass(untilMs: number): Promise<void> {
    const { clock, checks } = this.#cluster;
    while (checks.violation === undefined && (await clock.step(untilMs))) {
      checks.afterEvent(clock.now());
      if (clock.steps > STEPS_MAX) checks.broken("T8", "the cluster never comes to rest");
    }
  }

  /** Without its link a machine goes on with what it has, and comes back with that. */
  #takeAway(place: Place): void {
    const isCut = happens(this.#random, 0.4);
    if (!isCut && place.isOn) this.#cluster.cutPower(place, happens(this.#random, 0.5));
    if (isCut && !place.isCut) this.#cluster.cutLink(place);
  }

  /** Users do one thing after the other. */
  #act(): void {
    const { clock, disk } = this.#cluster;
    clock.after(between(this.#random, 0, 8000), () => {
      if (!this.#suffers) return;
      if (!this.#isBusy) {
        this.#isBusy = true;
        const deed = drawDeed(this.#random, disk);
        void this.#cluster.serve(deed).finally(() => (this.#isBusy = false));
      }
      this.#act();
    });
  }

  /** Each second, each kind of fault may come. */
  #fail(): void {
    const { clock, faults, places } = this.#cluster;
    clock.after(between(this.#random, 0, 2000), () => {
      if (!this.#suffers) return;
      if (happens(this.#random, faults.serverDies)) this.#killServer();
      if (happens(this.#pauses, faults.serverPauses)) this.#pauseServer();
      if (happens(this.#jumps, faults.serverClockJumps)) this.#setServerClock();
      for (const place of places) {
        if (happens(this.#random, faults.agentDies)) this.#killAgent(place);
        this.#harm(place);
      }
      this.#fail();
    });
  }

  #harm(place: Place): void {
    const { machine } = place;
    const { clock, faults } = this.#cluster;
    if (!place.isCut && happens(this.#random, faults.linkIsCut)) this.#cutLink(place);
    if (place.isOn && happens(this.#random, faults.powerIsCut)) this.#cutPower(place);
    if (!place.isOn) return;
    const containers = [...machine.containers.values()];
    if (containers.length > 0 && happens(this.#random, faults.containerCrashes)) {
      machine.exit(oneOf(this.#random, containers), oneOf(this.#random, [0, 1, 137]));
    }
    if (containers.length > 0 && happens(this.#random, faults.containerVanishes)) {
      machine.remove(oneOf(this.#random, containers));
    }
    if (machine.isUp && happens(this.#random, faults.runtimeLeaves)) {
      machine.leave();
      clock.after(between(this.#random, 100, 15_000), () => {
        if (!machine.isUp) machine.comeBack();
      });
    }
  }

  #cutLink(place: Place): void {
    this.#cluster.cutLink(place);
    this.#cluster.clock.after(between(this.#random, 100, 40_000), () => {
      if (place.isCut && place !== this.#away) this.#cluster.restoreLink(place);
    });
  }

  #cutPower(place: Place): void {
    this.#cluster.cutPower(place, happens(this.#random, 0.5));
    this.#cluster.clock.after(between(this.#random, 2000, 60_000), () => {
      if (!place.isOn && place !== this.#away) this.#cluster.restorePower(place);
    });
  }

  #killServer(): void {
    if (this.#cluster.server === undefined) return;
    this.#cluster.killServer();
    this.#cluster.clock.after(between(this.#random, 0, 10_000), () => {
      if (this.#cluster.server === undefined) this.#cluster.startServer();
    });
  }

  #pauseServer(): void {
    const { server, clock } = this.#cluster;
    if (server === undefined || server.clock.isPaused) return;
    this.#cluster.pauseServer();
    clock.after(between(this.#pauses, 1000, 90_000), () => this.#resumeServer(server));
  }

  /** By hand, by a time server, or by a battery that is empty. */
  #setServerClock(): void {
    const ms = oneOf(this.#jumps, JUMPS_MS);
    this.#cluster.setServerClock(this.#cluster.serverSkewMs + ms);
  }

  #resumeServer(server: ServerProcess): void {
    if (this.#cluster.server === server && server.clock.isPaused) this.#cluster.resumeServer();
  }

  #killAgent(place: Place): void {
    if (place.agent === undefined) return;
    this.#cluster.killAgent(place);
    const { deaths } = place;
    this.#cluster.clock.after(between(this.#random, IN_FLIGHT_MAX_MS, 10_000), () => {
      if (place.agent === undefined && place.deaths === deaths) this.#cluster.startAgent(place);
    });
  }

  #revive(): void {
    const { server } = this.#cluster;
    if (server === undefined) this.#cluster.startServer();
    else this.#resumeServer(server);
    for (const place of this.#cluster.places) {
      if (place === this.#away) continue;
      if (place.isCut) this.#cluster.restoreLink(place);
      if (!place.isOn) this.#cluster.restorePower(place);
      if (!place.machine.isUp) place.machine.comeBack();
      if (place.agent === undefined) this.#cluster.startAgent(place);
    }
  }

  /** Users make room, put an end to programs that never run, and take back what they paused. */
  async #calmDown(): Promise<void> {
    const { disk, places } = this.#cluster;
    for (const { node } of places) {
      await this.#do(setAvailability(node.id, "active"));
      await this.#do(setZone(node.id, node.labels["zone"] ?? ""));
    }
    for (const place of places) {
      for (const container of place.machine.containers.values()) {
        // What a job runs is to end.
        if (!ENDING.has(container.program)) container.program = "steady";
      }
    }
    for (const service of [...disk.view.services.values()]) {
      if (service.removing || (await this.#dismiss(service))) continue;
      const spec = specOf(service);
      const policy = restartOf(spec);
      const isLimited = policy.condition === "none" || policy.maxAttempts !== undefined;
      await this.#makeRoom(service);
      if (isLimited && spec.schedule === undefined) await this.#do(restart(service));
    }
  }

  /** Scales a service to what certainly fits. */
  async #makeRoom(service: Service): Promise<void> {
    const { replicas, autoscale, ...spec } = specOf(service);
    const most = mostThatFit(spec);
    if (replicas > most && autoscale === undefined) await this.#do(scale(service, most));
  }

  /** Scales away a service whose program never runs for long; answers whether it is one. */
  async #dismiss(service: Service): Promise<boolean> {
    const spec = specOf(service);
    const { container, replicas } = spec;
    const policy = restartOf(spec);
    const program = container.image.split(":")[0] ?? "";
    const neverRuns = ["broken", "missing", "crashing", "sickly"].includes(program);
    if (!neverRuns && (program !== "job" || policy.condition !== "any")) return false;
    const isFixed = isGlobal(spec) || spec.autoscale !== undefined;
    if (isFixed) await this.#do(down(service.stack, false));
    else if (replicas > 0) await this.#do(scale(service, 0));
    return true;
  }

  /** Users let rollouts go on that stopped, and look after what one brought back. */
  async #steer(): Promise<void> {
    for (const { id } of [...this.#cluster.disk.view.services.values()]) {
      const service = this.#cluster.disk.view.services.get(id);
      if (service === undefined || service.removing || (await this.#dismiss(service))) continue;
      await this.#makeRoom(service);
      const { rollout } = service;
      if (rollout?.state === "paused") await this.#do(order(service, resume));
      if (rollout?.state === "canary" && rollout.message !== "") {
        await this.#do(order(service, { type: "promote" }));
      }
    }
  }

  async #do(deed: Parameters<Cluster["serve"]>[0]): Promise<void> {
    const { clock, checks } = this.#cluster;
    const pending = new Set(["the deed"]);
    void this.#cluster.serve(deed).finally(() => pending.clear());
    while (pending.size > 0 && checks.violation === undefined) await this.#pass(clock.now() + 10);
  }
}

const resume = { type: "resume", unlock: true } as const;

type Room = Pick<ServiceSpec, "placement" | "ports" | "resources" | "mode">;

/** How many tasks certainly have room, whatever else there is. */
function mostThatFit(spec: Room): number {
  const { placement, ports, resources, mode } = spec;
  if (isGlobal({ mode })) return 1;
  if (placement.affinity?.some(({ required }) => required) === true) return 0;
  const { generic, devices } = resources.reservations;
  return ports.length > 0 || generic !== undefined || devices !== undefined ? 1 : 2;
}
