import type { ByteStream } from "../model/session.ts";
import type { Consistency, VolumeContents, VolumePlace } from "../model/volume.ts";
import { openByteStream } from "./client-byte-stream.ts";
import { queryOf, segmentOf } from "./client-query.ts";
import type { Transport } from "./client-transport.ts";

/** Which volume's files, and what becomes of the tasks that use them meanwhile. */
export interface VolumeRead {
  name: string;
  node?: string | undefined;
  how: Consistency;
}

/** What the API has for the files of volumes. */
export class VolumeFileCalls {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Where they are on the server's own machine; null for a volume of another node. */
  place(name: string, node: string | undefined): Promise<VolumePlace | null> {
    const path = `${volumePath(name)}/place${queryOf({ node })}`;
    return this.#transport.call({ method: "GET", path }) as Promise<VolumePlace | null>;
  }

  /**
   * Has the tasks that use it stand still, for as long as the stream is open. Whoever has read what
   * he wants ends it: only when the other side ends as well did they stand still until then.
   */
  async hold({ name, node, how }: VolumeRead): Promise<ByteStream> {
    const path = `${volumePath(name)}/hold${queryOf({ node, how })}`;
    const socket = await this.#transport.webSocket(path);
    return openByteStream(socket, (error) => this.#transport.explain(error));
  }

  /** As an archive; its end tells whether all of it came. */
  read({ name, node, how }: VolumeRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const path = `${volumePath(name)}/archive${queryOf({ node, how })}`;
    return this.#transport.download({ method: "GET", path }, signal);
  }

  /** Puts an archive in their place. */
  write(
    name: string,
    archive: Blob | ReadableStream<Uint8Array>,
    options: { node?: string | undefined; stop: boolean },
  ): Promise<VolumeContents> {
    const path = `${volumePath(name)}/archive${queryOf(options)}`;
    const request = { method: "PUT", path, upload: archive } as const;
    return this.#transport.call(request) as Promise<VolumeContents>;
  }
}

function volumePath(name: string): string {
  return `/v1/volumes/${segmentOf(name)}`;
}
