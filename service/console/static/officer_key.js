// Makes an officer's signing key in this browser; the private half goes into a file or stays in a device, never to the hub.
"use strict";

(() => {
  const making = document.getElementById("making");
  if (!making || !window.isSecureContext || !window.crypto.subtle) return;
  const signing = window.hoatocSigning;
  const { subtle } = window.crypto;
  const { agency, officer, display, handle, known, site } = making.dataset;
  const said = document.getElementById("making-said");
  const year = 365 * 24 * 3600;

  const write = (id, text) => { document.getElementById(id).textContent = text; };

  const show = async (jwk, { credential = "", file = "" }) => {
    const { kty, crv, x, y } = jwk;
    const key = JSON.stringify({ kty, crv, x, y });
    write("made-thumbprint", await signing.thumbprint(jwk));
    write("made-key", key);
    write("made-credential", credential);
    document.getElementById("made-passkey").hidden = !credential;
    const note = document.getElementById("made-file");
    note.textContent = note.dataset.text.replace("{file}", file);
    note.hidden = !file;
    const passkey = credential ? ` --credential-id=${credential}` : "";
    write("made-command", `hoatoc enroll key ${agency} --officer ${officer} --key '${key}'${passkey}`);
    const made = document.getElementById("made");
    made.hidden = false;
    made.focus();
  };

  const download = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };

  const makeFile = async () => {
    const pair = await subtle.generateKey(signing.curve, true, ["sign", "verify"]);
    const { kty, crv, x, y, d } = await subtle.exportKey("jwk", pair.privateKey);
    const from = Math.floor(Date.parse(making.dataset.now) / 1000);
    const kid = await signing.thumbprint({ crv, kty, x, y });
    const whole = { d, kty, crv, x, y, kid, use: "sig", alg: "ES256", nbf: from, exp: from + year };
    const file = `${officer}-${kid.slice(0, 8)}.jwk`;
    download(file, JSON.stringify(whole));
    await show(whole, { file });
  };

  const makePasskey = async () => {
    const credential = await navigator.credentials.create({
      publicKey: {
        challenge: crypto.getRandomValues(new Uint8Array(32)),
        rp: { id: site, name: "Hỏa Tốc" },
        user: { id: signing.decode(handle), name: officer, displayName: display },
        pubKeyCredParams: [{ type: "public-key", alg: -7 }],
        authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
        excludeCredentials: known.split(" ").filter(Boolean).map((id) => ({ type: "public-key", id: signing.decode(id) })),
        attestation: "none",
        timeout: 120000,
      },
    });
    const key = await subtle.importKey("spki", credential.response.getPublicKey(), signing.curve, true, ["verify"]);
    await show(await subtle.exportKey("jwk", key), { credential: signing.encode(credential.rawId) });
  };

  const offer = (id, make) => {
    const button = document.getElementById(id);
    if (!button) return;
    button.addEventListener("click", async () => {
      said.textContent = "";
      button.disabled = true;
      try {
        await make();
      } catch {
        said.textContent = said.dataset.cancelled;
      }
      button.disabled = false;
    });
  };

  making.hidden = false;
  document.getElementById("unable").hidden = true;
  offer("make-file", makeFile);
  offer("make-passkey", makePasskey);
})();
