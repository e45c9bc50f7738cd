import type { Bug } from "./bug.ts";
import { wrap } from "./wrap.ts";

/** Faults of what an agent does with what it is told, and with being told nothing. */
export const AGENT_BUGS: readonly Bug[] = [
  {
    name: "takes-every-set-for-the-first-of-its-session",
    breaks: ["S6"],
    faults: { oldSetComes: 0.3 },
    agentLink: (link) =>
      wrap(link, {
        hello: (agent, facts, events) => {
          const assign: typeof agent.assign = (set) => {
            events?.onResume();
            agent.assign(set);
          };
          return link.hello(wrap(agent, { assign }), facts, events);
        },
      }),
  },
];
