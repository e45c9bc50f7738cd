import { createPrivateKey, X509Certificate } from "node:crypto";

export interface CredentialsCheck {
  /** PEM */
  key: string;
  /** PEM, perhaps with those of others behind it. */
  certificate: string;
  /** `shop.example.org`, `*.example.org` */
  host: string;
  /** Milliseconds since 1970. */
  now: number;
}

export interface GoodCredentials {
  /** Both in milliseconds since 1970. */
  validFrom: number;
  validTo: number;
}

/** When the certificate is good for the host with this key, or in one sentence why it is not. */
export function checkCredentials(check: CredentialsCheck): GoodCredentials | { problem: string } {
  const { key, certificate, host, now } = check;
  const of = `the certificate for ${host}`;
  const read = attempt(() => new X509Certificate(certificate));
  if (read === undefined) return { problem: `${of} can't be read: it is to be PEM` };
  const privateKey = attempt(() => createPrivateKey(key));
  if (privateKey === undefined) return { problem: `the key for ${host} can't be read` };
  if (attempt(() => read.checkPrivateKey(privateKey)) !== true) {
    return { problem: `${of} does not fit its key: give the key that it was made for` };
  }
  // A wildcard is good for the names that it stands for.
  if (read.checkHost(host.replace(/^\*\./, "any.")) === undefined) {
    return { problem: `${of} is for other names` };
  }
  const [validFrom, validTo] = [Date.parse(read.validFrom), Date.parse(read.validTo)];
  if (!(now <= validTo)) return { problem: `${of} ran out` };
  return { validFrom, validTo };
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    // The library's words are for programmers; what is wrong is told by the caller.
    return undefined;
  }
}
