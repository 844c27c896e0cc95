// The SHA-256 of a picture or video, measured where it lies: the file never leaves the officer's machine.
"use strict";

(() => {
  // The browser reads the whole file into memory to measure it.
  const largest = 1024 * 1024 * 1024;

  const measure = async (field) => {
    const [file] = field.files;
    const said = document.getElementById(`${field.id}-said`);
    const written = document.getElementById(field.dataset.digest);
    // Whatever stood there was another file's; until this one is measured nothing may be sent for it.
    written.value = said.textContent = "";
    if (!file) return;
    if (file.size > largest) {
      said.textContent = said.dataset.large;
      return;
    }
    said.textContent = said.dataset.reading;
    try {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
      // Another file was chosen meanwhile: the field is that one's.
      if (field.files[0] !== file) return;
      const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      written.value = hex;
      said.textContent = said.dataset.done;
    } catch {
      if (field.files[0] === file) said.textContent = said.dataset.failed;
    }
  };

  // Without a secure context there is nothing to measure with: the digest is typed.
  if (!window.crypto?.subtle) return;
  for (const field of document.querySelectorAll("input[data-digest]")) {
    field.closest(".measured").hidden = false;
    field.addEventListener("change", () => measure(field));
  }
})();
