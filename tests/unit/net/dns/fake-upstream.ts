import type { Upstream } from "../../../../src/net/dns/upstream.ts";

/** Of loopback, and of nobody else here. */
const HOST = "127.0.0.2";

/** What a name server on loopback does with a question: packets go back as they are. */
export type Behaviour = (question: Buffer) => readonly Buffer[];

/** A name server on a free port of loopback that writes down what it is asked. */
export class FakeUpstream implements Upstream {
  readonly host = HOST;
  readonly port: number;
  /** By UDP. */
  readonly asked: Buffer[] = [];
  readonly askedByTcp: Buffer[] = [];
  /** Ports that the questions came from. */
  readonly fromPorts = new Set<number>();
  readonly #close: () => void;

  private constructor(port: number, close: () => void) {
    this.port = port;
    this.#close = close;
  }

  static async start(behaviour: Behaviour, byTcp: Behaviour = () => []): Promise<FakeUpstream> {
    const udp = await Bun.udpSocket({
      hostname: HOST,
      port: 0,
      socket: {
        data(socket, packet, port, host) {
          const question = Buffer.from(packet);
          fake.asked.push(question);
          fake.fromPorts.add(port);
          for (const answer of behaviour(question)) socket.send(answer, port, host);
        },
        error() {},
      },
    });
    const tcp = Bun.listen({
      hostname: HOST,
      port: udp.port,
      socket: {
        data(socket, chunk) {
          const question = Buffer.from(chunk.subarray(2));
          fake.askedByTcp.push(question);
          for (const answer of byTcp(question)) {
            const length = Buffer.alloc(2);
            length.writeUInt16BE(answer.length);
            socket.write(Buffer.concat([length, answer]));
          }
        },
      },
    });
    const fake = new FakeUpstream(udp.port, () => {
      udp.close();
      tcp.stop(true);
    });
    return fake;
  }

  close(): void {
    this.#close();
  }
}
