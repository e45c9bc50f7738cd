import { describe, expect, test } from "bun:test";
import { classifyReply, sentenceOf } from "../../../src/runtime/podman/errors.ts";

const RUNC = "runc: runc create failed: unable to start container process: ";
const NOT_FOUND = ": OCI runtime attempted to invoke a command that was not found";

/** What Podman 4.3 says, and what a person reads. */
const SENTENCES: readonly (readonly [string, string])[] = [
  [
    `${RUNC}exec: "nosuch": executable file not found in $PATH${NOT_FOUND}`,
    'the command "nosuch" was not found in the image',
  ],
  [
    `${RUNC}exec: "/nosuch": stat /nosuch: no such file or directory${NOT_FOUND}`,
    'the command "/nosuch" was not found in the image',
  ],
  [
    "crun: executable file `nosuch` not found in $PATH: No such file or directory" + NOT_FOUND,
    'the command "nosuch" was not found in the image',
  ],
  [
    `${RUNC}exec: "/bin": permission denied: OCI permission denied`,
    `the command "/bin" can't be executed; is it a directory?`,
  ],
  [
    `${RUNC}error during container init: error setting rlimits for ready process: ` +
      "error setting rlimit type 6: operation not permitted: OCI permission denied",
    "a ulimit of the container is above what Podman may set on the node",
  ],
  [
    "unable to find user nosuch: no matching entries in passwd file",
    'the user "nosuch" does not exist in the image',
  ],
  [
    "statfs /nosuch: no such file or directory",
    "the mounted path /nosuch does not exist on the node",
  ],
  [
    "container-init binary not found on the host: " +
      "stat /usr/libexec/podman/catatonit: no such file or directory",
    "`init: true` needs catatonit on the node (Debian: apt install catatonit)",
  ],
  [
    "IPAM error: requested ip address 10.213.9.5 is already allocated to container ID 15f5",
    "the address 10.213.9.5 is taken on the node's network",
  ],
  [
    'runc: runc create failed: sysctl "kernel.nosuch" is not in a separate kernel namespace' +
      ": OCI runtime error",
    'sysctl "kernel.nosuch" is not in a separate kernel namespace',
  ],
  ["invalid reference format", "invalid reference format"],
];

describe("errors of Podman", () => {
  test.each(SENTENCES)("%s", (message, sentence) => {
    expect(sentenceOf(message)).toBe(sentence);
  });

  test("a message of any length is cut", () => {
    expect(sentenceOf("x".repeat(100_000)).length).toBeLessThan(500);
  });

  test("codes follow what happened and not only the status", () => {
    const codeOf = (status: number, message: string, cause = "") =>
      classifyReply(status, JSON.stringify({ message, cause, response: status })).code;
    expect(codeOf(500, "localhost/a:1: image not known", "image not known")).toBe("notFound");
    expect(codeOf(404, "no container with name or ID x found: no such container")).toBe("notFound");
    expect(codeOf(500, "the container name x is already in use by y")).toBe("conflict");
    expect(codeOf(500, "volume with name v already exists: volume already exists")).toBe(
      "conflict",
    );
    expect(codeOf(409, "volume v is being used by the following container(s): x")).toBe("conflict");
    expect(codeOf(500, "writing blob: write /x: no space left on device")).toBe("noSpace");
    expect(codeOf(500, "netavark: something odd")).toBe("runtime");
  });

  test("a reply that is no JSON is told as it is", () => {
    expect(classifyReply(502, "<html>Bad Gateway</html>").message).toBe("<html>Bad Gateway</html>");
    expect(classifyReply(500, "").message).toBe("Podman failed without a reason");
  });
});
