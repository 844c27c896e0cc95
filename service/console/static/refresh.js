// Renews the page's content every five seconds unless paused, and touches nothing when nothing has changed.
"use strict";

(() => {
  const every = 5000;
  const button = document.getElementById("pause");
  const state = document.getElementById("renewal-state");
  const texts = document.getElementById("renewal").dataset;
  // A pause is one page's: what is held still here must not stand still elsewhere.
  const pause = `paused ${location.pathname}`;
  let paused = sessionStorage.getItem(pause) === "yes";
  let moved = false;

  const show = (text) => {
    if (state.textContent !== text) state.textContent = text;
  };

  const tell = () => {
    button.setAttribute("aria-pressed", String(paused));
    show(paused ? texts.paused : texts.running);
  };

  // What is being written stays where it is, not even moved: an input method would lose the word under the fingers.
  const fill = (live, next) => {
    const twin = (each) => each.dataset && "kept" in each.dataset && next.querySelector(`:scope > #${each.id}`);
    for (const each of [...live.childNodes]) if (!twin(each)) each.remove();
    let place = live.firstChild;
    for (const each of [...next.childNodes]) {
      const kept = each.dataset && "kept" in each.dataset && live.querySelector(`:scope > #${each.id}`);
      if (kept) place = kept.nextSibling;
      else live.insertBefore(each, place);
    }
    live.dataset.now = next.dataset.now;
    live.dataset.version = next.dataset.version;
  };

  // The same control again, by its own id, or none: on another one the next Enter would press what nobody chose.
  const returnTo = (live, control, id) => {
    if (control.isConnected) return;
    const there = id && document.getElementById(id);
    const back = there && control.matches("summary") ? there.querySelector("summary") : there;
    (back || live).focus({ preventScroll: true });
  };

  const replace = (next) => {
    const live = document.getElementById("live");
    const unfolded = [...live.querySelectorAll("details[open]")].map((each) => each.id);
    const control = live.contains(document.activeElement) ? document.activeElement : null;
    const id = control && (control.matches("summary") ? control.parentElement.id : control.id);
    const known = Number(live.dataset.version);
    for (const step of next.querySelectorAll(".step")) {
      if (Number(step.dataset.sequence) > known) step.classList.add("is-new");
    }
    fill(live, next);
    for (const id of unfolded) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
    if (control) returnTo(live, control, id);
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
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.getElementById("live");
      if (paused || !next) return undefined;
      if (next.dataset.version !== document.getElementById("live").dataset.version) replace(next);
      document.getElementById("renewal-at").replaceWith(page.getElementById("renewal-at"));
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
    sessionStorage.setItem(pause, paused ? "yes" : "no");
    tell();
  });
  tell();
  setInterval(renew, every);
})();
