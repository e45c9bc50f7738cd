/** What a registry asks of whom it does not know: RFC 9110, section 11.6.1. */
export type Challenge =
  | { scheme: "basic" }
  /** Docker's token authentication: where a token can be had, and for what. */
  | { scheme: "bearer"; realm: string; service?: string; scope?: string };

/**
 * Reads the header `www-authenticate`; undefined when it asks for nothing that is known here.
 * @param header one challenge, or several, of which the first known one counts
 */
export function parseChallenge(header: string): Challenge | undefined {
  const [, scheme = "", rest = ""] = /(?:^|,\s*)(Bearer|Basic)\b(.*)$/i.exec(header) ?? [];
  if (/^basic$/i.test(scheme)) return { scheme: "basic" };
  if (scheme === "") return undefined;
  const valueOf = (key: string) => new RegExp(`\\b${key}="([^"]*)"`).exec(rest)?.[1];
  const [realm, service, scope] = [valueOf("realm"), valueOf("service"), valueOf("scope")];
  if (realm === undefined || !URL.canParse(realm)) return undefined;
  return {
    scheme: "bearer",
    realm,
    ...(service === undefined ? {} : { service }),
    ...(scope === undefined ? {} : { scope }),
  };
}
