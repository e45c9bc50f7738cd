import { z } from "zod";
import {
  type Consistency,
  nodeVolumeSchema,
  type NodeVolume,
  type VolumeCalls,
  type VolumeContents,
  volumeContentsSchema,
  type VolumeHold,
  type VolumeReading,
  type WriteVolumeOptions,
} from "../model/volume.ts";
import { encodeJson } from "./calls.ts";
import type { Call } from "./frames.ts";
import { readArchive, readResult, readStarted, upload } from "./remote-calls.ts";
import type { SessionStream } from "./session-stream.ts";

const volumesSchema = z.array(nodeVolumeSchema);
const nothingSchema = z.null();

/** The volumes of another machine: every call travels over its session. */
export class RemoteVolumes implements VolumeCalls {
  readonly #open: (call: Call) => SessionStream;

  /** @param open begins a call */
  constructor(open: (call: Call) => SessionStream) {
    this.#open = open;
  }

  list(options: { names?: readonly string[] | undefined; sizes: boolean }): Promise<NodeVolume[]> {
    const { names, sizes } = options;
    const call: Call = {
      method: "listVolumes",
      sizes,
      ...(names === undefined ? {} : { names: [...names] }),
    };
    return this.#during(call, (stream) => readResult(stream, volumesSchema));
  }

  read(name: string, how: Consistency | "held"): Promise<VolumeReading> {
    return this.#during({ method: "readVolume", name, how }, async (stream) => {
      await readStarted(stream);
      return {
        pieces: readArchive(stream),
        close: async () => stream.cancel(),
      };
    });
  }

  write(
    name: string,
    archive: AsyncIterable<Uint8Array>,
    { stop, mount }: WriteVolumeOptions,
  ): Promise<VolumeContents> {
    const call: Call = {
      method: "writeVolume",
      name,
      stop,
      ...(mount === undefined ? {} : { mount }),
    };
    return this.#during(call, async (stream) => {
      const answer = readResult(stream, volumeContentsSchema);
      const [contents] = await Promise.all([answer, upload(stream, archive)]);
      return contents;
    });
  }

  hold(name: string): Promise<VolumeHold> {
    return this.#during({ method: "holdVolume", name }, async (stream) => {
      await readStarted(stream);
      const over = async () => {
        await readResult(stream, nothingSchema);
      };
      return {
        release() {
          stream.finish("end");
          return over();
        },
        async leave(generation = 0) {
          await stream.write("message", encodeJson({ type: "leave", generation }));
          await over();
        },
      };
    });
  }

  /** Runs a call to its answer, or to its start; one that fails is given up on both sides. */
  async #during<T>(call: Call, run: (stream: SessionStream) => Promise<T>): Promise<T> {
    const stream = this.#open(call);
    try {
      return await run(stream);
    } catch (error) {
      stream.cancel();
      throw error;
    }
  }
}
