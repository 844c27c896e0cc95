// Says in time that the session ends, and lets whoever is there stay; the page and what is typed in it remain.
"use strict";

(() => {
  const box = document.getElementById("ending");
  if (!box || typeof box.showModal !== "function") return;
  const warnBefore = 120;
  const text = document.getElementById("ending-text");
  const stay = document.getElementById("ending-stay");
  const close = document.getElementById("ending-close");
  const again = document.getElementById("ending-again");
  const token = document.querySelector(".leave input[name=csrf_token]").value;
  let endsAt = performance.now() + Number(box.dataset.left) * 1000;
  let isLast = false;
  let isSeen = false;
  let spoken = "";

  const left = () => Math.max(0, Math.round((endsAt - performance.now()) / 1000));

  // In steps: a line that changes each second is read aloud each second.
  const say = (seconds) => {
    const step = seconds > 20 ? Math.ceil(seconds / 20) * 20 : 20;
    const words = box.dataset[isLast ? "last" : "soon"].replace("{seconds}", String(step));
    if (words !== spoken) text.textContent = spoken = words;
  };

  const over = () => {
    text.textContent = box.dataset.over;
    stay.hidden = true;
    again.hidden = false;
    if (!box.open) box.showModal();
    again.focus();
  };

  const take = async (answer) => {
    if (answer.status === 401) return void (endsAt = performance.now());
    if (!answer.ok) return undefined;
    const told = await answer.json();
    endsAt = performance.now() + told.seconds * 1000;
    isLast = told.last;
    stay.hidden = isLast;
    return undefined;
  };

  // Another window of this browser may have gone on meanwhile: the hub knows, and asking prolongs nothing.
  const ask = () => fetch("/sessions/left", { headers: { "Hoatoc-Presence": "away" }, cache: "no-store" }).then(take).catch(() => undefined);

  const tick = async () => {
    if (left() > warnBefore) return schedule();
    if (!isSeen) {
      await ask();
      if (left() > warnBefore) return schedule();
      isSeen = true;
      say(left());
      box.showModal();
    }
    if (left() === 0) {
      await ask();
      if (left() > 0) { isSeen = false; box.close(); return schedule(); }
      return over();
    }
    say(left());
    setTimeout(tick, 1000);
    return undefined;
  };

  const schedule = () => setTimeout(tick, Math.max(1, left() - warnBefore) * 1000);

  stay.addEventListener("click", async () => {
    const body = new URLSearchParams({ csrf_token: token });
    await fetch("/sessions/stays", { method: "POST", body, cache: "no-store" }).then(take).catch(() => undefined);
    if (left() > warnBefore) { isSeen = false; spoken = ""; box.close(); }
  });
  close.addEventListener("click", () => box.close());
  schedule();
})();
