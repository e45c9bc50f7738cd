import type { Mount, VolumeMount } from "./container.ts";

/** Fills in a text; `place` says where it stands. */
export type FillIn = (place: string, text: string) => string;

/** What of a mount is filled in for each task, as in Swarm. */
export function templatesIn(mount: Mount): string[] {
  switch (mount.type) {
    case "tmpfs":
      return [mount.target];
    case "bind":
      return [mount.target, mount.source];
    case "volume": {
      const { target, volume, driverOptions, labels } = mount;
      return [target, volume, ...Object.values(driverOptions), ...Object.values(labels)];
    }
  }
}

export function expandMount(mount: Mount, fill: FillIn): Mount {
  switch (mount.type) {
    case "tmpfs":
      return { ...mount, target: targetOf(mount, fill) };
    case "bind":
      return {
        ...mount,
        target: targetOf(mount, fill),
        source: fill("a mount's source", mount.source),
      };
    case "volume":
      return expandVolumeMount(mount, fill);
  }
}

export function expandVolumeMount(mount: VolumeMount, fill: FillIn): VolumeMount {
  const fillAll = (place: string, texts: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, fill(place, text)]));
  return {
    ...mount,
    target: targetOf(mount, fill),
    volume: fill("a volume's name", mount.volume),
    driverOptions: fillAll("a volume's option", mount.driverOptions),
    labels: fillAll("a volume's label", mount.labels),
  };
}

function targetOf({ target }: Mount, fill: FillIn): string {
  return fill("a mount's target", target);
}
