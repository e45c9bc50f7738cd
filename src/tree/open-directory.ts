import * as fs from "node:fs";
import { byteStringOf, bytesOf } from "../core/archive/bytes.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants;

/**
 * A directory that is held open. What is in it is reached from there and not by a path, and no
 * symbolic link is followed: whoever swaps names meanwhile leads nobody out of the tree. The kernel
 * takes `/proc/self/fd/N/NAME` for the name in the directory itself (proc(5)). Names are byte
 * strings.
 */
export class OpenDirectory {
  readonly descriptor: number;

  private constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  /** The top of a tree; the way to it is believed. */
  static top(path: string): OpenDirectory {
    return new OpenDirectory(fs.openSync(path, O_RDONLY | O_DIRECTORY));
  }

  /** @throws the system's error `ENOTDIR` for everything else, symbolic links included */
  child(name: string): OpenDirectory {
    return new OpenDirectory(fs.openSync(this.at(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }

  /** What system calls take for the name in this directory; a last link is theirs to follow. */
  at(name: string): Buffer {
    return Buffer.concat([Buffer.from(`/proc/self/fd/${this.descriptor}/`), bytesOf(name)]);
  }

  /** The directory itself. */
  get path(): string {
    return `/proc/self/fd/${this.descriptor}`;
  }

  /** What is in it, in an order of its own. */
  names(): string[] {
    const names = fs.readdirSync(this.path, { encoding: "buffer" });
    return names.map((name) => byteStringOf(name)).sort();
  }

  stat(name: string): fs.BigIntStats {
    return fs.lstatSync(this.at(name), { bigint: true });
  }

  close(): void {
    fs.closeSync(this.descriptor);
  }
}
