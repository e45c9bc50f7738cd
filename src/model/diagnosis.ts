/** Something on a machine that stands in orchd's way, or soon may. */
export interface Finding {
  /** Which check found it: `ports`, `forwarding` … */
  check: string;
  /** Something does not work with a `fault`; an `advice` is for people to judge. */
  level: "fault" | "advice";
  /** What is the case. */
  what: string;
  /** Why it matters. */
  why: string;
  /** What to do about it. */
  remedy: string;
}

/** What `orchd doctor` tells of a machine. */
export interface Diagnosis {
  /** Faults first. */
  findings: Finding[];
  /** Checks that were made, whatever they found. */
  checked: string[];
  /** Checks that could not be made, and why. */
  skipped: { check: string; why: string }[];
}

/** What `orchd doctor` is told of how orchd runs here. */
export interface DoctorOptions {
  dataDir: string;
  serverPort: number;
  gossipPort: number;
  /** 0 where it is off. */
  ingress: { http: number; https: number };
}
