// What an officer's browser needs to sign: base64url, thumbprints, and signatures by a key file or a passkey.
"use strict";

window.hoatocSigning = (() => {
  const { subtle } = window.crypto;
  const curve = { name: "ECDSA", namedCurve: "P-256" };
  const utf8 = (text) => new TextEncoder().encode(text);

  const encode = (bytes) => {
    let binary = "";
    for (const byte of new Uint8Array(bytes)) binary += String.fromCharCode(byte);
    return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  };

  const decode = (text) => {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  };

  const digest = async (bytes) => new Uint8Array(await subtle.digest("SHA-256", bytes));

  const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  // RFC 7638: these members, in this order.
  const thumbprint = async ({ crv, kty, x, y }) => encode(await digest(utf8(JSON.stringify({ crv, kty, x, y }))));

  // The protected header and what is signed under it (RFC 7515, 5.1); the content travels beside the signature.
  const opening = ({ alg, kind, kid, about, hub, at, content }) => {
    const jti = encode(crypto.getRandomValues(new Uint8Array(16)));
    const header = encode(utf8(JSON.stringify({ alg, typ: kind, kid, iat: at, jti, sub: about, aud: hub })));
    return { header, input: utf8(`${header}.${encode(utf8(content))}`) };
  };

  const withFile = async (jwk, what) => {
    const { kty, crv, x, y, d } = jwk;
    const key = await subtle.importKey("jwk", { kty, crv, x, y, d }, curve, false, ["sign"]);
    const { header, input } = opening({ ...what, alg: "ES256" });
    const signature = await subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, input);
    return `${header}..${encode(signature)}`;
  };

  // An authenticator writes r and s as two DER integers; a JWS has them as 32 bytes each.
  const halves = (der) => {
    const whole = new Uint8Array(64);
    let at = 2;
    for (const end of [32, 64]) {
      const length = der[at + 1];
      const number = der.slice(at + 2, at + 2 + length);
      const bytes = number[0] === 0 ? number.slice(1) : number;
      whole.set(bytes, end - bytes.length);
      at += 2 + length;
    }
    return whole;
  };

  const withPasskey = async (credential, site, what) => {
    const { header, input } = opening(what);
    const { response } = await navigator.credentials.get({
      publicKey: {
        challenge: await digest(input),
        rpId: site,
        allowCredentials: [{ type: "public-key", id: decode(credential) }],
        userVerification: "required",
        timeout: 120000,
      },
    });
    const parts = [halves(new Uint8Array(response.signature)), response.authenticatorData, response.clientDataJSON];
    const signature = new Uint8Array(await new Blob(parts).arrayBuffer());
    return `${header}..${encode(signature)}`;
  };

  return { curve, decode, digest, encode, hex, thumbprint, utf8, withFile, withPasskey };
})();
