import type { Command } from "commander";
import type { Context } from "./context.ts";

/** What an argument of a command names, for completion. */
export type Completes =
  | "stack"
  | "service"
  | "replicas"
  | "task"
  | "log"
  | "anything"
  | "node"
  | "network"
  | "file"
  | "context"
  | "key"
  | "secret"
  | "config"
  | "none"
  | readonly string[];

/** A command: known by name without loading it. */
export interface CommandEntry {
  name: string;
  /** One line for the list of commands. */
  summary: string;
  completes: Completes;
  load(): Promise<(context: Context) => Command>;
}

/** Every command, in the order in which the help shows them. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "server",
    summary: "run the control plane, with an agent on this machine",
    completes: "none",
    load: async () => (await import("./commands/server.ts")).serverCommand,
  },
  {
    name: "join",
    summary: "make this machine a node of a cluster, and run its agent",
    completes: "none",
    load: async () => (await import("./commands/join.ts")).joinCommand,
  },
  {
    name: "up",
    summary: "make a stack be what its Compose file says",
    completes: "none",
    load: async () => (await import("./commands/up.ts")).upCommand,
  },
  {
    name: "check",
    summary: "tell what each property of a Compose file means here",
    completes: "file",
    load: async () => (await import("./commands/check.ts")).checkCommand,
  },
  {
    name: "down",
    summary: "remove a stack",
    completes: "stack",
    load: async () => (await import("./commands/down.ts")).downCommand,
  },
  {
    name: "ls",
    summary: "list stacks",
    completes: "none",
    load: async () => (await import("./commands/ls.ts")).lsCommand,
  },
  {
    name: "ps",
    summary: "list tasks: node, state, health, age, ports, reason",
    completes: "stack",
    load: async () => (await import("./commands/ps.ts")).psCommand,
  },
  {
    name: "services",
    summary: "list services",
    completes: "stack",
    load: async () => (await import("./commands/services.ts")).servicesCommand,
  },
  {
    name: "scale",
    summary: "set how many tasks services run",
    completes: "replicas",
    load: async () => (await import("./commands/scale.ts")).scaleCommand,
  },
  {
    name: "restart",
    summary: "replace every task of a service",
    completes: "service",
    load: async () => (await import("./commands/restart.ts")).restartCommand,
  },
  {
    name: "rollout",
    summary: "show and steer updates: status, pause, promote, undo",
    completes: "service",
    load: async () => (await import("./commands/rollout.ts")).rolloutCommand,
  },
  {
    name: "job",
    summary: "run, list and show the output of jobs",
    completes: "service",
    load: async () => (await import("./commands/job.ts")).jobCommand,
  },
  {
    name: "cron",
    summary: "list jobs that run by a schedule",
    completes: "stack",
    load: async () => (await import("./commands/cron.ts")).cronCommand,
  },
  {
    name: "logs",
    summary: "show what services and tasks print",
    completes: "log",
    load: async () => (await import("./commands/logs.ts")).logsCommand,
  },
  {
    name: "exec",
    summary: "run a command in a task",
    completes: "task",
    load: async () => (await import("./commands/exec.ts")).execCommand,
  },
  {
    name: "port-forward",
    summary: "lead ports of this machine to a task",
    completes: "log",
    load: async () => (await import("./commands/port-forward.ts")).portForwardCommand,
  },
  {
    name: "events",
    summary: "show what happens, and happened",
    completes: "none",
    load: async () => (await import("./commands/events.ts")).eventsCommand,
  },
  {
    name: "explain",
    summary: "tell why a task, service or node is in its state",
    completes: "anything",
    load: async () => (await import("./commands/explain.ts")).explainCommand,
  },
  {
    name: "doctor",
    summary: "look at this machine for what stands in orchd's way",
    completes: "none",
    load: async () => (await import("./commands/doctor.ts")).doctorCommand,
  },
  {
    name: "nodes",
    summary: "list nodes",
    completes: "none",
    load: async () => (await import("./commands/nodes.ts")).nodesCommand,
  },
  {
    name: "token",
    summary: "make, list, renew and revoke tokens for machines and people",
    completes: "none",
    load: async () => (await import("./commands/token.ts")).tokenCommand,
  },
  {
    name: "node",
    summary: "show a node; drain, pause, activate, label or remove nodes",
    completes: "node",
    load: async () => (await import("./commands/node.ts")).nodeCommand,
  },
  {
    name: "network",
    summary: "list networks; show who is in one, and by which names and addresses",
    completes: "network",
    load: async () => (await import("./commands/network.ts")).networkCommand,
  },
  {
    name: "context",
    summary: "keep servers on other machines by name",
    completes: "context",
    load: async () => (await import("./commands/context.ts")).contextCommand,
  },
  {
    name: "secret",
    summary: "keep secrets for services: create, list, update, remove",
    completes: "secret",
    load: async () => (await import("./commands/secret.ts")).secretCommand,
  },
  {
    name: "config",
    summary: "keep configuration files for services",
    completes: "config",
    load: async () => (await import("./commands/config.ts")).configCommand,
  },
  {
    name: "unlock",
    summary: "open the secrets of a server that started locked",
    completes: "none",
    load: async () => (await import("./commands/unlock.ts")).unlockCommand,
  },
  {
    name: "autolock",
    summary: "choose what opens the secrets: a key file or a passphrase",
    completes: "none",
    load: async () => (await import("./commands/autolock.ts")).autolockCommand,
  },
  {
    name: "keyring",
    summary: "list, install, use and remove the keys of gossip",
    completes: "key",
    load: async () => (await import("./commands/keyring.ts")).keyringCommand,
  },
  {
    name: "image",
    summary: "load and list images",
    completes: "file",
    load: async () => (await import("./commands/image.ts")).imageCommand,
  },
  {
    name: "bundle",
    summary: "carry stacks, images, secrets and orchd itself to a site in one signed file",
    completes: "file",
    load: async () => (await import("./commands/bundle.ts")).bundleCommand,
  },
  {
    name: "upgrade",
    summary: "have nodes run another version of orchd; containers go on",
    completes: "file",
    load: async () => (await import("./commands/upgrade.ts")).upgradeCommand,
  },
  {
    name: "volume",
    summary: "list, save, put back, move and remove volumes",
    completes: "none",
    load: async () => (await import("./commands/volume.ts")).volumeCommand,
  },
  {
    name: "backup",
    summary: "save the cluster's whole state in a file",
    completes: "file",
    load: async () => (await import("./commands/backup.ts")).backupCommand,
  },
  {
    name: "restore",
    summary: "put a cluster back from a backup",
    completes: "file",
    load: async () => (await import("./commands/restore.ts")).restoreCommand,
  },
  {
    name: "completion",
    summary: "print the completion script of a shell",
    completes: ["bash", "zsh", "fish"],
    load: async () => (await import("./commands/completion.ts")).completionCommand,
  },
  {
    name: "version",
    summary: "print the version",
    completes: "none",
    load: async () => (await import("./commands/version.ts")).versionCommand,
  },
];

export function findCommand(name: string): CommandEntry | undefined {
  return COMMANDS.find((entry) => entry.name === name);
}
