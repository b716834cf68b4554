// A relay in front of a server that breaks connections when it is told to. It is for trying clients out.

import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

// What the server says passes in small pieces, with a pause after each: however fast it is, there is time to break the
// connection before its last word has passed.
const PIECE = 100;
const PAUSE = 4;

/** Listens on `address`, and passes everything on until it is told otherwise. */
export class BadNetwork {
  address = "";
  breaks = 0;
  /** How many bytes of the server's are yet to get lost before the connection breaks; 0 while it is well. */
  private toLose = 0;
  private readonly listener = createServer((client) => this.relay(client));

  private constructor(private readonly server: string) {}

  static async inFrontOf(server: string): Promise<BadNetwork> {
    const network = new BadNetwork(server);
    network.listener.listen(0, "127.0.0.1");
    await once(network.listener, "listening");
    network.address = `127.0.0.1:${(network.listener.address() as AddressInfo).port}`;
    return network;
  }

  /** Breaks a connection, once: the next `lost` bytes that the server says get lost, and all after them. */
  breakOff(lost = 1): void {
    this.toLose = lost;
  }

  close(): void {
    this.listener.close();
  }

  private relay(client: Socket): void {
    const [port, host] = [this.server.split(":").at(-1), this.server.split(":").slice(0, -1).join(":")];
    const server = connect(Number(port), host);
    for (const [end, other] of [[client, server], [server, client]] as const) {
      end.setNoDelay();
      end.on("error", () => other.destroy());
      end.on("close", () => other.destroy());
    }
    client.pipe(server);
    void this.tell(server, client);
  }

  private async tell(server: Socket, client: Socket): Promise<void> {
    try {
      for await (const data of server) {
        for (let at = 0; at < data.length; at += PIECE) {
          await sleep(PAUSE);
          const piece = data.subarray(at, at + PIECE);
          if (this.toLose === 0) {
            client.write(piece);
            continue;
          }
          this.toLose = Math.max(0, this.toLose - piece.length);
          if (this.toLose === 0) {
            this.breaks += 1;
            client.destroy();
            return;
          }
        }
      }
    } catch {
      // The other way has ended the connection.
    }
    client.end();
  }
}
