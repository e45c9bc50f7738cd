import { afterAll, afterEach, beforeAll, describe } from "bun:test";
import type { Assignment } from "../../src/model/assignment.ts";
import type { ContainerSpec } from "../../src/model/container.ts";
import type { TaskId } from "../../src/model/ids.ts";
import type { BridgeNetwork, Runtime } from "../../src/runtime/driver.ts";
import { type Cannot, type Case, casesOf } from "./runtime-cases.ts";
import { eventCases } from "./runtime-events.ts";
import { crashCases, lostAnswerCases, outageCases, strangerCases } from "./runtime-faults.ts";
import { imageCases, networkCases, volumeCases } from "./runtime-images.ts";
import { adoptionCases, failureCases, preparationCases } from "./runtime-life.ts";
import { stateCases, stopCases } from "./runtime-life.ts";
import { execCases, fullLogCases, logCases } from "./runtime-streams.ts";
import { aTask, type Behaviour } from "./runtime-task.ts";
import type { Wire } from "./runtime-wire.ts";

/** A runtime to test, with the means to do to it what the world does. */
export interface RuntimeLab {
  runtime: Runtime;
  /** Another driver object for the same containers, as a restarted orchd makes one. */
  reopen(): Promise<Runtime>;
  /** An image with a shell that is there, and an archive of one that can be loaded. */
  image: string;
  archive(): ReadableStream<Uint8Array>;
  network: BridgeNetwork;
  /** The task's process dies. */
  crash(taskId: TaskId): Promise<void>;
  /** Somebody removes the container by hand. */
  removeBehindBack(taskId: TaskId): Promise<void>;
  /** The runtime's service is killed, and comes back as it does. */
  interrupt(): Promise<void>;
  /** Another driver object for the same containers, by a way that can be disturbed. */
  wired(): Promise<Wired>;
  /** Makes somebody else's container that has the name of this task's. */
  stranger(assignment: Assignment): Promise<Stranger>;
  /** The tasks of which anything is there: a container, a file system, a directory. */
  remains(): Promise<TaskId[]>;
  close(): Promise<void>;
}

export interface Wired {
  runtime: Runtime;
  wire: Wire;
  close(): Promise<void>;
}

export interface Stranger {
  isThere(): Promise<boolean>;
  remove(): Promise<void>;
}

export interface Tools {
  lab: () => RuntimeLab;
  /** A task whose container, if one is made, is removed after the test. */
  assign: (behaviour?: Behaviour, change?: Partial<ContainerSpec>) => Assignment;
  /** Makes a task's container, which is removed after the test. */
  create: (behaviour?: Behaviour, change?: Partial<ContainerSpec>) => Promise<Assignment>;
  /** The same, and starts it. */
  run: (behaviour?: Behaviour, change?: Partial<ContainerSpec>) => Promise<TaskId>;
  /** Registers a case. */
  test: Case;
}

const SETUP_TIMEOUT_MS = 120_000;

/** What every driver has to do. `makeLab` is called once; each test removes what it made. */
export function runtimeConformance(
  name: string,
  makeLab: () => Promise<RuntimeLab>,
  cannot: Cannot = {},
): void {
  describe(`the ${name} runtime`, () => {
    let current: RuntimeLab | undefined;
    const made: TaskId[] = [];
    const lab = () => {
      if (current === undefined) throw new Error("the runtime to test could not be set up");
      return current;
    };

    beforeAll(async () => {
      current = await makeLab();
      await current.runtime.ensureNetwork(current.network);
    }, SETUP_TIMEOUT_MS);

    afterEach(async () => {
      for (const taskId of made.splice(0)) await lab().runtime.remove(taskId);
    }, SETUP_TIMEOUT_MS);

    afterAll(async () => {
      await current?.close();
    }, SETUP_TIMEOUT_MS);

    const assign: Tools["assign"] = (behaviour, change) => {
      const assignment = aTask(lab().image, behaviour, change);
      made.push(assignment.taskId);
      return assignment;
    };
    const create: Tools["create"] = async (behaviour, change) => {
      const assignment = assign(behaviour, change);
      await lab().runtime.create({ assignment });
      return assignment;
    };
    const run: Tools["run"] = async (behaviour, change) => {
      const { taskId } = await create(behaviour, change);
      await lab().runtime.start(taskId);
      return taskId;
    };
    runtimeCases({ lab, assign, create, run, test: casesOf(name, cannot) });
  });
}

/** Registers every case. */
export function runtimeCases(tools: Tools): void {
  stateCases(tools);
  preparationCases(tools);
  adoptionCases(tools);
  stopCases(tools);
  failureCases(tools);
  eventCases(tools);
  lostAnswerCases(tools);
  crashCases(tools);
  outageCases(tools);
  strangerCases(tools);
  logCases(tools);
  fullLogCases(tools);
  execCases(tools);
  imageCases(tools);
  networkCases(tools);
  volumeCases(tools);
}
