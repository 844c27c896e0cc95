// Renews the page's content every five seconds unless paused, and touches nothing when nothing has changed.
"use strict";

(() => {
  const every = 5000;
  const button = document.getElementById("pause");
  const state = document.getElementById("renewal-state");
  const texts = document.getElementById("renewal").dataset;
  let paused = sessionStorage.getItem("paused") === "yes";
  let moved = false;

  const show = (text) => {
    if (state.textContent !== text) state.textContent = text;
  };

  const tell = () => {
    button.setAttribute("aria-pressed", String(paused));
    show(paused ? texts.paused : texts.running);
  };

  const replace = (next) => {
    const live = document.getElementById("live");
    const unfolded = [...live.querySelectorAll("details[open]")].map((each) => each.id);
    const focused = document.activeElement && live.contains(document.activeElement) ? document.activeElement.closest("[id]").id : "";
    const known = Number(live.dataset.version);
    for (const step of next.querySelectorAll(".step")) {
      if (Number(step.dataset.sequence) > known) step.classList.add("is-new");
    }
    live.replaceWith(document.adoptNode(next));
    for (const id of unfolded) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
    const back = focused && document.getElementById(focused);
    if (back) (back.querySelector("summary, a, button") || back).focus({ preventScroll: true });
    document.dispatchEvent(new Event("hoatoc:renewed"));
  };

  const renew = async () => {
    if (paused || document.hidden || !document.getSelection().isCollapsed) return;
    // A screen that nobody touches does not keep its session alive.
    const headers = { "Hoatoc-Presence": moved ? "here" : "away" };
    moved = false;
    try {
      const answer = await fetch(location.href, { headers, cache: "no-store" });
      if (answer.status === 401 || answer.status === 404) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
      if (paused || !next) return undefined;
      if (next.dataset.version !== document.getElementById("live").dataset.version) replace(next);
      tell();
    } catch {
      show(texts.lost);
    }
    return undefined;
  };

  for (const kind of ["pointermove", "keydown", "scroll", "touchstart"]) {
    addEventListener(kind, () => { moved = true; }, { passive: true });
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem("paused", paused ? "yes" : "no");
    tell();
  });
  tell();
  setInterval(renew, every);
})();
