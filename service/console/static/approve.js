// Signs what stands on the page, inside this browser: a key file is read here and never sent, a passkey never leaves its device.
"use strict";

(() => {
  const form = document.getElementById("signing");
  if (!form) return;
  const signing = window.hoatocSigning;
  const { kind, about, hub, site, algorithm } = form.dataset;
  const said = document.getElementById("signing-said");
  const started = performance.now();

  const say = (name, tone, kid = "") => {
    said.className = `spoken ${tone}`;
    said.textContent = said.dataset[name].replace("{kid}", kid);
  };

  if (!window.isSecureContext || !window.crypto.subtle) {
    say("unable", "warn");
    return;
  }

  // The hub's clock counts, not this machine's; what passed since the page came is measured here.
  const now = () => Math.floor((Date.parse(form.dataset.now) + performance.now() - started) / 1000);

  // What is read on the page is what is signed; its digest is the one that the officer may compare.
  const content = async () => {
    const text = document.getElementById("content").textContent;
    const digest = signing.hex(await signing.digest(signing.utf8(text)));
    return digest === form.dataset.digest ? text : null;
  };

  const sign = async (make) => {
    const buttons = form.querySelectorAll("button");
    const enable = (enabled) => { for (const button of buttons) button.disabled = !enabled; };
    enable(false);
    say("busy", "info");
    const text = await content();
    const signature = text === null ? say("changed", "bad") : await make({ kind, about, hub, content: text, at: now() });
    if (signature) {
      say("sent", "info");
      form.elements.signature.value = signature;
      form.submit();
    } else {
      enable(true);
    }
  };

  const byFile = async (what) => {
    const chosen = document.getElementById("key-file");
    if (!chosen.files.length) return say("noFile", "warn");
    let jwk;
    let kid;
    try {
      jwk = JSON.parse(await chosen.files[0].text());
      if (jwk.kty !== "EC" || jwk.crv !== "P-256" || !jwk.d) return say("notAKey", "bad");
      kid = await signing.thumbprint(jwk);
      if (!form.dataset.files.split(" ").includes(kid)) return say("foreignKey", "bad", kid);
      return await signing.withFile(jwk, { ...what, kid });
    } catch {
      return say("notAKey", "bad");
    } finally {
      chosen.value = "";
    }
  };

  const byPasskey = async (what) => {
    const chosen = document.getElementById("passkey").selectedOptions[0];
    try {
      return await signing.withPasskey(chosen.value, site, { ...what, kid: chosen.dataset.kid, alg: algorithm });
    } catch {
      return say("cancelled", "warn");
    }
  };

  const offer = (way, button, make) => {
    document.getElementById(way).hidden = false;
    const there = document.getElementById(button);
    if (there) there.addEventListener("click", () => sign(make));
  };

  offer("by-file", "sign-file", byFile);
  if (site && window.PublicKeyCredential) offer("by-passkey", "sign-passkey", byPasskey);
})();
