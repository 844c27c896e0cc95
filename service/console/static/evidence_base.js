// What every check of an evidence file stands on: its form, RFC 8785, instants, keys, and signatures at their instant.
"use strict";

window.hoatocEvidence = (() => {
  const { subtle } = window.crypto;
  const { decode, digest, encode, hex, thumbprint, utf8 } = window.hoatocSigning;
  const curve = { name: "ECDSA", namedCurve: "P-256" };
  // What the hub itself signs, for whoever reads it; everything else is signed for one hub.
  const own = new Set(["order", "evidence"]);
  const oldest = 15n * 60n * 1000000n;
  const ahead = 10n * 1000000n;

  class Refused extends Error {}

  const refuse = (reason) => { throw new Refused(reason); };

  // RFC 8785: members in the order of their UTF-16 units, and numbers as this language writes them.
  const written = (value) => {
    if (typeof value === "number" && (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))) {
      throw new RangeError("a number without one form");
    }
    if (typeof value === "string" && /\p{Surrogate}/u.test(value)) throw new RangeError("half a pair");
    if (value === null || typeof value !== "object") return JSON.stringify(value);
    if (Array.isArray(value)) return `[${value.map(written).join(",")}]`;
    const members = Object.keys(value).sort().map((name) => `${written(name)}:${written(value[name])}`);
    return `{${members.join(",")}}`;
  };

  // Of what has no such form, or is no JSON: null, which nobody signed.
  const encoded = (value) => {
    try {
      return utf8(written(value));
    } catch {
      return null;
    }
  };

  const parsed = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  };

  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  const canonical = (text) => {
    const value = parsed(text);
    return value === undefined ? null : encoded(value);
  };
  const objectOf = (text) => {
    const value = parsed(text);
    return isObject(value) ? value : {};
  };
  const member = (value, name) => (isObject(value) ? value[name] ?? null : null);

  // Whole microseconds since 1970, or null for what is no instant with an offset.
  const spelled = /^(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d{1,9}))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
  const instant = (text) => {
    const found = spelled.exec(String(text));
    if (!found) return null;
    const [, day, time, fraction = "", zone] = found;
    const at = Date.parse(`${day}T${time}${zone.toUpperCase()}`);
    // A thirtieth of February is moved on by some readers, and refused by others.
    const there = Date.parse(`${day}T00:00:00Z`);
    if (Number.isNaN(at) || Number.isNaN(there) || new Date(there).toISOString().slice(0, 10) !== day) return null;
    // The hub takes instants of these centuries alone, in their own zone and in UTC.
    if (![there, at].every((each) => new Date(each).getUTCFullYear() >= 1900 && new Date(each).getUTCFullYear() < 3000)) return null;
    return BigInt(at) * 1000n + BigInt(fraction.slice(0, 6).padEnd(6, "0"));
  };

  const same = (given, wanted) => {
    const [one, other] = [given ?? null, wanted ?? null];
    if (one === null || other === null || typeof one !== "object" || typeof other !== "object") return one === other;
    if (Array.isArray(one) !== Array.isArray(other)) return false;
    const names = Object.keys(one);
    const known = Object.keys(other);
    return names.length === known.length && names.every((name) => Object.hasOwn(other, name) && same(one[name], other[name]));
  };

  const digestOf = async (text) => hex(await digest(utf8(text)));

  // A commitment to a text under the request's salt; the bare digest where there is none.
  const commitment = async (request, text) => {
    const bare = await digestOf(text);
    if (request.salt === null) return bare;
    if (!/^([0-9a-f]{2})+$/i.test(request.salt)) return "";
    const salt = Uint8Array.from(request.salt.match(/../g), (pair) => Number.parseInt(pair, 16));
    const key = await subtle.importKey("raw", salt, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return hex(new Uint8Array(await subtle.sign("HMAC", key, utf8(bare))));
  };

  // What a fact names a text by, and what it must be; an earlier build's facts have the bare digest.
  const named = async (request, said, what, text) => {
    if (Object.hasOwn(said, `${what}_commitment`) || request.salt === null) {
      return [said[`${what}_commitment`] ?? said[`${what}_sha256`], await commitment(request, text)];
    }
    return [said[`${what}_sha256`], await digestOf(text)];
  };

  const unpacked = (text) => {
    if (!/^[A-Za-z0-9_-]+$/.test(text) || text.length % 4 === 1) return null;
    const raw = decode(text);
    return encode(raw) === text ? raw : null;
  };

  // One JSON object in UTF-8, no member twice: readers differ on which of two counts.
  const strict = (raw) => {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
    const value = JSON.parse(text);
    if (!isObject(value)) throw new TypeError("not an object");
    const named = [...text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/gs)].filter((each) => each[1]).length;
    const count = (inner) => (isObject(inner) ? Object.values(inner).reduce((sum, each) => sum + 1 + count(each), 0) : 0);
    if (named !== count(value)) throw new TypeError("a member stands there twice");
    return value;
  };

  const identifier = (value) => {
    if (typeof value !== "string" || !/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/.test(value)) refuse("malformed");
    return value;
  };

  // Where a passkey works: a name under TLS, as browsers write it.
  const originOf = (address) => {
    try {
      const { protocol, hostname, origin, username } = new URL(address);
      const isSafe = protocol === "https:" || (protocol === "http:" && hostname === "localhost");
      const isName = hostname && !/^[\d.]+$|^\[/.test(hostname);
      return isSafe && isName && !username ? origin : null;
    } catch {
      return null;
    }
  };

  // What a passkey's device and browser add: 37 bytes of the one, the JSON of the other (WebAuthn, level 3).
  const assertion = async (raw) => {
    const [data, client] = [raw.slice(0, 37), raw.slice(37)];
    if (client.length < 1 || client.length > 1024) refuse("malformed");
    const said = strict(client);
    if (typeof said.origin !== "string" || typeof said.challenge !== "string") refuse("malformed");
    if (said.type !== "webauthn.get" || (said.crossOrigin ?? false) !== false) refuse("malformed");
    const flags = data[32];
    if (flags & 0xc0 || (flags & 16 && !(flags & 8))) refuse("malformed");
    if (!(flags & 1 && flags & 4)) refuse("user_unverified");
    if (originOf(said.origin) !== said.origin) refuse("malformed");
    const site = await digest(utf8(new URL(said.origin).hostname));
    if (hex(data.slice(0, 32)) !== hex(site)) refuse("malformed");
    return { origin: said.origin, challenge: said.challenge, data, client };
  };

  const readSignature = async (text, kind) => {
    const parts = text.split(".");
    if (text.length > 2048 || parts.length !== 3 || parts[1]) refuse("malformed");
    const [raw, signature] = [unpacked(parts[0]), unpacked(parts[2])];
    if (!raw || !signature) refuse("malformed");
    try {
      const said = strict(raw);
      let asserted = null;
      if (said.alg === "hoatoc-webauthn-ES256") asserted = await assertion(signature.slice(64));
      else if (said.alg !== "ES256") refuse("algorithm");
      else if (signature.length !== 64) refuse("malformed");
      if (said.typ !== `hoatoc-${kind}+jws`) refuse("type");
      const members = Object.keys(said).filter((name) => own.has(kind) || name !== "aud").sort().join();
      const wanted = ["alg", "iat", "jti", "kid", ...(kind === "request" ? [] : ["sub"]), "typ"].sort().join();
      if (members !== wanted || !Number.isSafeInteger(said.iat) || Math.abs(said.iat) > 253402300799) refuse("malformed");
      return {
        kid: identifier(said.kid), jti: identifier(said.jti), signedAt: BigInt(said.iat) * 1000000n,
        about: Object.hasOwn(said, "sub") ? identifier(said.sub) : null,
        audience: Object.hasOwn(said, "aud") ? identifier(said.aud) : null,
        header: parts[0], signature: signature.slice(0, 64), assertion: asserted,
      };
    } catch (error) {
      throw error instanceof Refused ? error : new Refused("malformed");
    }
  };

  const publicKey = async (jwk) => {
    const names = Object.keys(jwk);
    if (names.includes("d")) refuse("key.private");
    const allowed = ["kty", "crv", "x", "y", "kid", "use", "alg"];
    if (["kty", "crv", "x", "y"].some((name) => !names.includes(name)) || names.some((name) => !allowed.includes(name))) {
      refuse("key.members");
    }
    if (jwk.kty !== "EC" || jwk.crv !== "P-256") refuse("key.curve");
    if ((jwk.use ?? "sig") !== "sig" || (jwk.alg ?? "ES256") !== "ES256") refuse("key.use");
    if ([jwk.x, jwk.y].some((each) => unpacked(each)?.length !== 32)) refuse("key.coordinate");
    const { kty, crv, x, y } = jwk;
    try {
      return { key: await subtle.importKey("jwk", { kty, crv, x, y }, curve, false, ["verify"]), kid: await thumbprint(jwk) };
    } catch {
      return refuse("key.point");
    }
  };

  // The checks so far, and which keys of the file signed something; `unseen` says that a browser cannot look.
  class Findings {
    constructor(bundle) {
      this.bundle = bundle;
      this.checks = [];
      this.used = new Set();
    }

    note(name, about, wrong = "", unseen = false) {
      this.checks.push({ name, about, wrong, unseen });
    }

    expect(name, about, pairs) {
      const differ = Object.keys(pairs).filter((each) => !same(...pairs[each])).sort();
      this.note(name, about, differ.join(", "));
    }

    async signature(name, text, what) {
      const about = `${what.owner[1]} ${what.about ?? ""}`.trimEnd();
      try {
        const found = await this.#signature(text, what);
        this.note(name, about);
        return found;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.note(name, about, error.message);
        return null;
      }
    }

    async #signature(text, { kind, payload, owner, about, takenAt }) {
      if (!text) refuse("missing");
      const found = await readSignature(text, kind);
      if (found.about !== about) refuse("about");
      if (found.audience !== (own.has(kind) ? null : this.bundle.hub)) refuse("audience");
      const asserted = found.assertion;
      if (asserted && (owner[0] !== "officer" || asserted.origin !== originOf(this.bundle.hub))) refuse("origin");
      const key = await this.#key(found, [...owner, asserted ? "passkey" : "signature"], takenAt);
      let message = payload && utf8(`${found.header}.${encode(payload)}`);
      if (message && asserted) {
        if (asserted.challenge !== encode(await digest(message))) refuse("invalid");
        const inner = await digest(asserted.client);
        message = new Uint8Array(await new Blob([asserted.data, inner]).arrayBuffer());
      }
      const how = { name: "ECDSA", hash: "SHA-256" };
      if (!message || !(await subtle.verify(how, key, found.signature, message))) refuse("invalid");
      this.used.add(found.kid);
      return found;
    }

    async #key({ kid, signedAt }, owner, takenAt) {
      const key = this.bundle.keys.find((each) => each.kid === kid);
      if (!key || !same([key.owner_kind, key.owner_id, key.tenant, key.purpose], owner)) refuse("key_unknown");
      const at = takenAt ?? signedAt;
      if (signedAt < at - oldest || signedAt > at + ahead) refuse("instant");
      if (at < instant(key.not_before) || at >= instant(key.not_after)) refuse("key_expired");
      if (key.revoked_at !== null && at >= instant(key.revoked_at)) refuse("key_revoked");
      const found = await publicKey(key.jwk);
      if (found.kid !== key.kid) refuse("key_unknown");
      return found.key;
    }
  }

  return { Findings, canonical, commitment, digestOf, encoded, instant, isObject, member, named, objectOf, parsed, same };
})();
