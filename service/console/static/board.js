// Keeps the live board alive: says how it is renewed, pauses it, and asks for the page anew where the stream is silent.
"use strict";

(() => {
  const silence = 15_000;
  const presence = 60_000;
  const line = document.getElementById("renewal");
  const state = document.getElementById("renewal-state");
  const button = document.getElementById("pause");
  // A board begins running, whatever was paused before: whoever opens it wants to see what is late now.
  let paused = false;
  let reached = true;
  let moved = false;
  let heard = Date.now();
  let here = Date.now();

  const show = (text) => {
    if (state.textContent !== text) state.textContent = text;
  };

  const tell = (kind) => show(line.dataset[paused ? "paused" : kind]);

  // The instant of the last good renewal always stands there: what is late since then is on no line yet.
  const stand = (at) => {
    const face = document.getElementById("clock");
    const shown = document.querySelector("#renewal-at time");
    if (at) return shown.replaceWith(at);
    shown.dateTime = face.dateTime;
    shown.title = face.title;
    shown.textContent = face.textContent.trim();
    return undefined;
  };

  // The whole of it, as the page without scripts would have it.
  const renew = async () => {
    const headers = { "Hoatoc-Presence": moved ? "here" : "away" };
    moved = false;
    heard = here = Date.now();
    try {
      const answer = await fetch(location.href, { headers, cache: "no-store" });
      if (answer.status === 401) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      // The lines are no longer those that were searched for: the whole page says so, beside an empty field.
      if (page.getElementById("search-over") && !document.getElementById("search-over")) return location.reload();
      if (paused) return undefined;
      for (const part of page.querySelectorAll("#totals, #live tbody")) {
        await htmx.swap({ target: `#${part.id}`, swap: "outerMorph", text: part.outerHTML });
      }
      stand(page.querySelector("#renewal-at time"));
      if (!reached) tell("lost");
      reached = true;
    } catch {
      // Nothing came: the next try is as far away as this one was.
      reached = false;
      tell("gone");
    }
    return undefined;
  };

  document.addEventListener("htmx:sse:before:message", (event) => {
    heard = Date.now();
    // What was read under the session goes with it: the page, asked for anew, is the sign-in.
    if (event.detail.message.event === "over") return location.reload();
    if (paused && !event.detail.message.event) event.preventDefault();
    if (!paused) stand();
    reached = true;
    tell("running");
    return undefined;
  });

  setInterval(() => {
    const now = Date.now();
    if (document.hidden) return;
    if (now - heard > silence) {
      tell(reached ? "lost" : "gone");
      if (!paused) renew();
    } else if (moved && now - here > presence) {
      renew();
    }
  }, 1000);

  for (const kind of ["pointermove", "keydown", "scroll", "touchstart"]) {
    addEventListener(kind, () => { moved = true; }, { passive: true });
  }
  if (button) {
    button.hidden = false;
    button.setAttribute("aria-pressed", String(paused));
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      tell("running");
      if (!paused) renew();
    });
  }
})();
