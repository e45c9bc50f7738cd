import { describe, expect, test } from "bun:test";
import { WaitingHappenings } from "../../../src/agent/happenings.ts";
import { HAPPENINGS_MAX, type Happening } from "../../../src/model/event.ts";

function aRig() {
  const heard: string[] = [];
  const server = { isThere: false };
  const happenings = new WaitingHappenings((all) => {
    if (server.isThere) heard.push(...all.map(({ message }) => message));
    return server.isThere;
  });
  return { heard, server, happenings };
}

const aHappening = (message: string): Happening => ({ message }) as Happening;

describe("what happened while no server was in reach", () => {
  test("is told once, in its order, when one is there", () => {
    const { heard, server, happenings } = aRig();
    happenings.add(aHappening("first"));
    happenings.add(aHappening("second"));
    server.isThere = true;
    happenings.flush();
    happenings.flush();
    happenings.add(aHappening("third"));
    expect(heard).toEqual(["first", "second", "third"]);
  });

  test("is bounded: of very many the latest wait", () => {
    const { heard, server, happenings } = aRig();
    for (let i = 0; i < HAPPENINGS_MAX + 10; i++) happenings.add(aHappening(String(i)));
    server.isThere = true;
    happenings.flush();
    expect([heard.length, heard[0], heard.at(-1)]).toEqual([
      HAPPENINGS_MAX,
      "10",
      String(HAPPENINGS_MAX + 9),
    ]);
  });
});
