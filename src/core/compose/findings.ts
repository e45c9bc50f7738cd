import { visible, type ProblemList } from "./problem.ts";
import type { Status } from "./properties/shape.ts";
import type { Place } from "./source-file.ts";
import type { Node } from "./yaml/tree.ts";

/** What one property of a file means here. */
export interface PropertyReport {
  /** `services.web.image` */
  path: string;
  status: Status;
  /** What it means here, in words that follow the path; empty for what is plainly honoured. */
  message: string;
  file: string;
  line: number;
  column: number;
}

interface Reported {
  path: string;
  status: Status;
  message: string;
  at: Place;
}

/** What is found out about a project while it is checked and converted. */
export class Findings {
  readonly problems: ProblemList;
  /** Nodes that an error was told of: nothing that is read from them counts. */
  readonly bad = new Set<Node>();
  /** Set while a service is looked at that will not run: it is reported, and gives no problems. */
  muted = false;
  /** Set when something had to be left out: what may refer to it is not blamed as well. */
  incomplete = false;
  readonly #reported = new Map<string, Reported>();

  constructor(problems: ProblemList) {
    this.problems = problems;
  }

  /** Notes that the property at `path` is used. */
  use(at: Place, path: string, status: Status, message: string): void {
    this.#reported.set(path, { path, status, message, at });
    if (this.muted || status === "honoured") return;
    const severity = status === "refused" ? "error" : "warning";
    this.problems[severity](at, path, `${path} ${message}`);
  }

  /** Tells that a value of a property that is honoured otherwise is not, and why. */
  downgrade(at: Place, path: string, status: Exclude<Status, "honoured">, message: string): void {
    const severity = status === "refused" ? "error" : "warning";
    this.problems[severity](at, path, `${path} ${message}`);
    const reported = this.#nearest(path);
    if (reported === undefined || reported.status === "refused") return;
    reported.status = status;
    reported.message = message;
  }

  /** By place. */
  report(): PropertyReport[] {
    const order = (a: Place, b: Place) => a.file.order - b.file.order || a.offset - b.offset;
    return [...this.#reported.values()]
      .toSorted((a, b) => order(a.at, b.at))
      .map(({ path, status, message, at }) => {
        const { line, column } = at.file.positionOf(at.offset);
        const file = visible(at.file.name);
        return { path: visible(path), status, message: visible(message), file, line, column };
      });
  }

  /** The report of `path`, or of the property that it is an item of. */
  #nearest(path: string): Reported | undefined {
    for (let at = path; at !== "";) {
      const found = this.#reported.get(at);
      if (found !== undefined) return found;
      at = at.slice(0, Math.max(0, at.lastIndexOf("."), at.lastIndexOf("[")));
    }
    return undefined;
  }
}
