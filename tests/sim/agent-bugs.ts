import type { TaskId } from "../../src/model/ids.ts";
import { isTerminal, type Task } from "../../src/model/task.ts";
import type { Bug } from "./bug.ts";
import { withView, wrap } from "./wrap.ts";

/** Faults of what an agent does with what it is told, and with being told nothing. */
export const AGENT_BUGS: readonly Bug[] = [
  {
    name: "takes-every-set-for-the-first-of-its-session",
    breaks: "S6",
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
  {
    name: "takes-its-server-for-there-when-it-is-away",
    breaks: "O1",
    seed: "15",
    agentLink: (link) => wrap(link, { leads: () => true }),
  },
  {
    name: "wants-what-is-over",
    breaks: "retired",
    seed: "10",
    dispatcherStore: (store) =>
      withView(store, (view) => ({
        tasksOn: (id) =>
          view.tasksOn(id).map((task): Task => {
            const isOver = isTerminal(task.state) && task.desired === "shutdown";
            return isOver ? { ...task, desired: "running" } : task;
          }),
      })),
  },
  {
    name: "leaves-containers-behind",
    breaks: "S12",
    runtime: (runtime) => {
      const left = new Set<TaskId>();
      return wrap(runtime, {
        remove: async (taskId) => void left.add(taskId),
        list: async () => (await runtime.list()).filter(({ taskId }) => !left.has(taskId)),
        inspect: async (taskId) => (left.has(taskId) ? undefined : await runtime.inspect(taskId)),
      });
    },
  },
  {
    name: "tells-two-nodes-of-one-task",
    breaks: "S5",
    dispatcherStore: (store) =>
      withView(store, (view) => ({
        tasksOn: (id) => {
          const other = [...view.nodes.keys()].find((nodeId) => nodeId !== id);
          const others = other === undefined ? [] : view.tasksOn(other);
          return [...view.tasksOn(id), ...others];
        },
      })),
  },
];
