// The SHA-256 of a picture or video, measured where it lies: the file never leaves the officer's machine.
"use strict";

(() => {
  // The browser reads the whole file into memory to measure it.
  const largest = 1024 * 1024 * 1024;

  const measure = async (field) => {
    const [file] = field.files;
    const said = document.getElementById(`${field.id}-said`);
    if (!file) return;
    if (file.size > largest) {
      said.textContent = said.dataset.large;
      return;
    }
    said.textContent = said.dataset.reading;
    try {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
      const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      document.getElementById(field.dataset.digest).value = hex;
      said.textContent = said.dataset.done;
    } catch {
      said.textContent = said.dataset.failed;
    }
  };

  // Without a secure context there is nothing to measure with: the digest is typed.
  if (!window.crypto?.subtle) return;
  for (const field of document.querySelectorAll("input[data-digest]")) {
    field.closest(".measured").hidden = false;
    field.addEventListener("change", () => measure(field));
  }
})();
