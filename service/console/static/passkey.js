// Signs in with a passkey, and makes one to sign in with; what the authenticator says goes to the hub in a plain form.
"use strict";

(() => {
  const signing = window.hoatocSigning;
  const unable = document.getElementById("passkey-unable");
  if (!window.isSecureContext || !window.PublicKeyCredential || !unable) return;
  const said = document.getElementById("passkey-said");

  // What is to be signed is the hub's, for this browser and once.
  const begin = async () => {
    const answer = await fetch("/sign-in/passkey/begin", { method: "POST", cache: "no-store", headers: { "Content-Type": "application/x-www-form-urlencoded" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const { site, challenge } = await answer.json();
    return { site, challenge: signing.decode(challenge) };
  };

  const send = (form, values) => {
    for (const [name, bytes] of Object.entries(values)) form.elements[name].value = signing.encode(bytes);
    form.submit();
  };

  const use = async (form) => {
    const { site, challenge } = await begin();
    const found = await navigator.credentials.get({ publicKey: { challenge, rpId: site, userVerification: "required", timeout: 120000 } });
    const { authenticatorData, clientDataJSON, signature } = found.response;
    send(form, { credential_id: found.rawId, data: authenticatorData, client_data: clientDataJSON, signature });
  };

  const make = async (form) => {
    const { handle, name, known } = form.dataset;
    const { site, challenge } = await begin();
    const made = await navigator.credentials.create({
      publicKey: {
        challenge,
        rp: { id: site, name: "Hỏa Tốc" },
        // The same for all passkeys of one person in one role, and no name in it.
        user: { id: await signing.digest(signing.utf8(handle)), name, displayName: name },
        pubKeyCredParams: [{ type: "public-key", alg: -7 }],
        authenticatorSelection: { residentKey: "required", userVerification: "required" },
        excludeCredentials: known.split(" ").filter(Boolean).map((id) => ({ type: "public-key", id: signing.decode(id) })),
        attestation: "none",
        timeout: 120000,
      },
    });
    send(form, { data: made.response.getAuthenticatorData(), client_data: made.response.clientDataJSON });
  };

  for (const [formId, buttonId, act] of [["passkey-in", "passkey-use", use], ["passkey-new", "passkey-make", make]]) {
    const form = document.getElementById(formId);
    if (!form) continue;
    form.hidden = false;
    unable.hidden = true;
    const button = document.getElementById(buttonId);
    button.addEventListener("click", async () => {
      said.textContent = "";
      button.disabled = true;
      try {
        await act(form);
      } catch {
        said.textContent = said.dataset.cancelled;
      }
      button.disabled = false;
    });
  }
})();
