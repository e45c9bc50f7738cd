import type { PullPolicy } from "../../../model/container.ts";
import { nearest } from "../../../lib/text.ts";
import { quoted } from "../problem.ts";
import type { Cursor } from "./cursor.ts";

const IMAGE_LENGTH_MAX = 512;
/** `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`: the grammar of the OCI distribution specification. */
const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const HOST = "(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\\[[0-9a-fA-F:]+\\])(?::\\d{1,5})?";
const IMAGE = new RegExp(
  `^(?:${HOST}/)?${COMPONENT}(?:/${COMPONENT})*(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?` +
    "(?:@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?$",
);
const IMAGE_ID = /^(?:sha256:)?[0-9a-f]{64}$/;

/** The image of a service; undefined, with a problem told, when it has none that can be meant. */
export function imageOf(service: Cursor): string | undefined {
  const image = service.get("image");
  const text = image?.text();
  if (image === undefined || text === undefined) {
    if (service.has("image") || service.has("provider")) return undefined;
    // What it extends could not be had, and would have given it one.
    if (service.has("extends") && service.findings.incomplete) return undefined;
    // A misspelt one has been told of.
    if (service.keys().some((key) => nearest(key, ["image"]) !== undefined)) return undefined;
    const build = service.get("build");
    if (build === undefined) service.errorAtKey("has no image");
    else {
      build.refuse("needs image beside it: build the image elsewhere and name it there");
    }
    return undefined;
  }
  if (text.length <= IMAGE_LENGTH_MAX && (IMAGE.test(text) || IMAGE_ID.test(text))) return text;
  if (text === "") return image.error("is blank; name an image");
  const hint = /[A-Z]/.test(text) ? " (names are lower case)" : "";
  return image.error(`is ${quoted(text)}, which is no reference to an image${hint}`);
}

const REFRESHED = /^(?:refresh|daily|weekly|every_(?:\d+[wdhms])+)$/;

export function pullPolicyOf(service: Cursor): PullPolicy {
  const policy = service.get("pull_policy");
  const text = policy?.text();
  if (policy === undefined || text === undefined) return "missing";
  if (text === "always" || text === "never" || text === "missing") return text;
  if (text === "if_not_present") return "missing";
  if (text === "build") {
    policy.warn("is build, but orchd does not build: the image is pulled when it is missing");
  } else if (REFRESHED.test(text)) {
    policy.warn(`is ${text}, but images are not refreshed by age: it is pulled when missing`);
  } else {
    policy.error(`must be always, missing, if_not_present or never, not ${quoted(text)}`);
  }
  return "missing";
}

/** What other tools call an architecture, by the name that images use. */
const ARCHITECTURES: Record<string, string> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  armhf: "arm",
  armel: "arm",
};

/** The usual name of an architecture. */
export function normaliseArchitecture(text: string): string {
  const lower = text.toLowerCase();
  return Object.hasOwn(ARCHITECTURES, lower) ? (ARCHITECTURES[lower] ?? lower) : lower;
}

/** `linux/arm64/v8`; an architecture alone is one of Linux. */
export function platformOf(service: Cursor): string | undefined {
  const platform = service.get("platform");
  const text = platform?.text();
  if (platform === undefined || text === undefined) return undefined;
  const parts = text.toLowerCase().split("/");
  const [os = "", arch, variant] = parts.length === 1 ? ["linux", ...parts] : parts;
  const plain = parts.length <= 3 && parts.every((part) => /^[a-z0-9_-]{1,16}$/.test(part));
  if (!plain || arch === undefined) {
    return platform.error(`must be OS/ARCHITECTURE, such as linux/arm64, not ${quoted(text)}`);
  }
  const normal = [os, normaliseArchitecture(arch), ...(variant === undefined ? [] : [variant])];
  return os === "linux"
    ? normal.join("/")
    : platform.refuse(`is ${quoted(text)}, but orchd runs on Linux only`);
}
