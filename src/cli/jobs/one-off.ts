import { newId } from "../../lib/ids.ts";
import { systemRandom } from "../../lib/random.ts";

export interface OneOff {
  image: string;
  command: readonly string[];
  name?: string;
  environment: readonly string[];
  constraints: readonly string[];
  count: number;
  retries: number;
  deadline?: string;
}

/** A stack of one job as a Compose file, so that it is read and refused like any other. */
export function composeOf(asked: OneOff): { name: string; text: string } {
  const { image, command, environment, constraints, count, retries, deadline } = asked;
  const name = asked.name ?? nameFor(image);
  const service = {
    image,
    ...(command.length === 0 ? {} : { command }),
    ...(environment.length === 0 ? {} : { environment }),
    deploy: { mode: "replicated-job", replicas: count, placement: { constraints } },
    "x-orchd": { job: { retries, ...(deadline === undefined ? {} : { deadline }) } },
  };
  // A `$` of the command line is no variable of a file.
  const text = JSON.stringify({ services: { [name]: service } }).replaceAll("$", "$$$$");
  return { name, text };
}

/** `busybox-k3n8`: from the image, and not given before. */
function nameFor(image: string): string {
  const [last = ""] = (image.split("/").at(-1) ?? "").split(/[:@]/);
  const base = last
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+|-+$/g, "");
  return `${(base === "" ? "job" : base).slice(0, 50)}-${newId<"job">(systemRandom).slice(0, 6)}`;
}
