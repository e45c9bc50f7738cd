import { planStep, type Step, type TaskOnNode } from "../../../../src/core/task/step.ts";

interface Settled extends TaskOnNode {
  steps: Step["type"][];
  starts: number;
}

/** Takes every step that is open, on a runtime that always does what it is asked. */
export function settle(task: TaskOnNode): Settled {
  const world: Settled = { ...task, steps: [], starts: 0 };
  for (let now = 100; now < 150; now++) {
    const step = planStep(world, now);
    if (step === undefined) return world;
    world.steps.push(step.type);
    take(world, step, now);
  }
  throw new Error(`the steps do not end: ${world.steps.join(", ")}`);
}

function take(world: Settled, step: Step, now: number): void {
  switch (step.type) {
    case "create":
      world.container = { state: "created" };
      return;
    case "start":
      world.starts += 1;
      world.container = { state: "running", startedAt: now };
      return;
    case "stop":
      world.container = { ...world.container, state: "exited", exitCode: 143, finishedAt: now };
      return;
    case "limit":
      world.container = { state: "running", ...world.container, limits: step.limits };
      return;
    case "remove":
      world.container = undefined;
      return;
    case "report":
      world.status = step.status;
      return;
    case "forget":
      world.status = undefined;
  }
}
