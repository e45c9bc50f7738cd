import type { Progress } from "../../model/summary.ts";
import type { Io } from "../io.ts";
import { paintFor } from "../output/color.ts";
import { LiveLines } from "../output/live.ts";
import { advance, formatProgress, newProgress, type Goal } from "./progress-state.ts";

/** Where a person sees how far it is. */
export interface ProgressView {
  show(progress: Progress): Promise<void>;
  end(): Promise<void>;
}

/** Elapsed times move once a second. */
const REDRAW_MS = 1000;

export function progressView(io: Io, goal: Goal, json: boolean): ProgressView {
  if (json) return jsonView(io);
  const canDraw = io.stdout.isTerminal && io.env["TERM"] !== "dumb";
  return canDraw ? liveView(io, goal) : plainView(io, goal);
}

function jsonView(io: Io): ProgressView {
  return {
    show: (progress) => io.stdout.write(`${JSON.stringify(progress)}\n`),
    end: () => Promise.resolve(),
  };
}

/** A line at each change, for pipes, files and CI. */
function plainView(io: Io, goal: Goal): ProgressView {
  let state = newProgress(goal, io.clock.now());
  return {
    async show(progress) {
      const next = advance(state, progress, io.clock.now());
      state = next.state;
      if (next.lines.length > 0) await io.stdout.write(`${next.lines.join("\n")}\n`);
    },
    end: () => Promise.resolve(),
  };
}

/** One line for each service, drawn in place. */
function liveView(io: Io, goal: Goal): ProgressView {
  const live = new LiveLines(io.stdout);
  const paint = paintFor(io);
  let state = newProgress(goal, io.clock.now());
  const draw = () => live.draw(formatProgress(state, io.clock.now(), paint));
  const redraw = () => {
    timer = io.clock.after(REDRAW_MS, redraw);
    // A terminal that is gone ends the process by a signal, not by this.
    void draw();
  };
  let timer = io.clock.after(REDRAW_MS, redraw);
  const stopResize = io.onResize(() => void draw());
  return {
    async show(progress) {
      state = advance(state, progress, io.clock.now()).state;
      await draw();
    },
    async end() {
      timer.cancel();
      stopResize();
      await draw();
      await live.end();
    },
  };
}
