import type { RuntimeKind } from "../../src/runtime/open.ts";
import type { Cannot } from "./runtime-cases.ts";

const NO_IMAGES = "a process is of no image";
const OWN_CGROUPS =
  "it holds, and a test of its own looks at it, since a process sees the node's own cgroups";

const LOST_ONCE = "whatever answer is lost, a task is made once, starts once, and is gone at last";
const LOST_RUNNING = "whatever answer is lost, a task that runs is stopped, or removed as it is";
const HANGS = "a runtime that hangs for a while has then done what it was asked for, once";
const MISSED = "what happened while no events came is there after the resync that follows";
const STRANGER = "a stranger's container that has our name is in the way, and is left alone";
const KILLED_STARTING =
  "killed between any two calls of a start it leaves only what the next one knows";
const KILLED_REMOVING = "killed between any two calls of a removal it leaves nothing either";
const WITHIN = "its answers come within the process: none is lost or late";
const NO_SERVICE = "there is no service between it and the kernel";

const FAKE: Cannot = {
  [LOST_ONCE]: WITHIN,
  [LOST_RUNNING]: WITHIN,
  [HANGS]: WITHIN,
  [KILLED_STARTING]: WITHIN,
  [KILLED_REMOVING]: WITHIN,
  [MISSED]: "it is away for everybody at once, and nobody could look meanwhile",
  [STRANGER]: "nobody else has containers in its memory",
  "of a log that is full the end is kept, of 10 MB three times, without a gap":
    "it keeps what it prints in memory, and that is what a label says",
};

const PROCESS: Cannot = {
  [LOST_ONCE]: NO_SERVICE,
  [LOST_RUNNING]: NO_SERVICE,
  [HANGS]: NO_SERVICE,
  [KILLED_STARTING]: "it makes no calls, and a test of its own kills it at each moment of a start",
  [KILLED_REMOVING]: NO_SERVICE,
  "begun anew, as its runtime was, it adopts what runs, which has gone on": NO_SERVICE,
  "a runtime that is away is told by every call, and what runs is there afterwards": NO_SERVICE,
  [MISSED]: NO_SERVICE,
  [STRANGER]: "a process is known by a directory of orchd's own, and has no name to take",
  "an image that is not there is told by its name": NO_IMAGES,
  "an image that is there is there, and another is not": NO_IMAGES,
  "an image that no registry gave has an identity and no digest": NO_IMAGES,
  "an image is taken from a registry of this machine, under a name of its own": NO_IMAGES,
  "what an image says of its health is found, and the runtime leaves it": NO_IMAGES,
  "after the runtime was away everything is still there, and resync is told":
    "there is no service that could be away",
  "a terminal is one, and its lines end without a carriage return": "a process has no terminal",
  "limits of memory, processor, processes and files hold": OWN_CGROUPS,
  "limits change under a program that runs, and can be taken away again": OWN_CGROUPS,
  "its share of processors is as given": OWN_CGROUPS,
  "init comes first, and takes in what nobody waits for":
    "the node's own first process takes in what a process's children leave",
  "a privileged one has every right that the node itself has":
    "it is refused: what needs every right is to be in a container",
  "capabilities, devices and security options are as given":
    "it holds, and a test of its own looks at it, since a process sees the node's own /dev",
  "a device that the task was given is there, also under its lasting name":
    "a process sees the node's own /dev, where lasting names are already",
};

/** What each driver can't do, by the title of the case, with the reason. */
export const CANNOT: Readonly<Record<RuntimeKind, Cannot>> = {
  podman: {},
  containerd: {},
  docker: {},
  process: PROCESS,
  fake: FAKE,
};

/** Why no program in a container of the fake runtime sees anything. */
export const FAKE_IS_MEMORY = "its containers are in memory: no program is in them";
