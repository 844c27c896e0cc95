// Keeps the times left running between two loads of the page; without it they stand as the hub wrote them.
"use strict";

(() => {
  const texts = document.body.dataset;
  const units = [["days", 86400], ["hours", 3600], ["minutes", 60], ["seconds", 1]];
  const marks = [[0, "over"], [0.1, "tenth"], [0.25, "quarter"], [0.5, "half"]];
  const spoken = new Map();
  let offset = 0;

  const two = (number) => String(number).padStart(2, "0");

  const write = (seconds) => {
    const largest = units.findIndex(([, size]) => seconds >= size);
    const first = largest < 0 ? units.length - 1 : largest;
    let rest = seconds;
    return units.slice(first, first + 3).map(([name, size], position) => {
      const count = Math.floor(rest / size);
      rest %= size;
      return texts[name].replace("{count}", position ? two(count) : count);
    }).join(" ");
  };

  // A status line of its own tells a listener when half, a quarter and a tenth of the time is left, and no more often.
  const speak = (timer, left) => {
    const line = document.getElementById("spoken");
    if (!line || !timer.dataset.start) return;
    const whole = Date.parse(timer.dataset.due) - Date.parse(timer.dataset.start);
    const lane = timer.closest(".lane");
    const who = lane ? lane.querySelector("h3").textContent : "";
    const what = `${who} ${timer.dataset.what}`.trim();
    const mark = marks.find(([part]) => left <= part * whole);
    const key = `${what} ${timer.dataset.due}`;
    const before = spoken.get(key);
    spoken.set(key, mark ? mark[1] : "none");
    if (before !== undefined && mark && before !== mark[1]) line.textContent = line.dataset[mark[1]].replace("{what}", what);
  };

  const tick = () => {
    for (const timer of document.querySelectorAll("[role=timer][data-due]")) {
      const left = Date.parse(timer.dataset.due) - Date.now() - offset;
      const text = (left > 0 ? timer.dataset.left || texts.left : texts.over).replace("{time}", write(Math.floor(Math.abs(left) / 1000)));
      if (timer.textContent !== text) timer.textContent = text;
      timer.classList.toggle("over", left <= 0);
      speak(timer, left);
    }
  };

  // The hub's clock counts, not this machine's.
  const meet = () => {
    const live = document.getElementById("live");
    if (live) offset = Date.parse(live.dataset.now) - Date.now();
    tick();
  };

  document.addEventListener("hoatoc:renewed", meet);
  meet();
  setInterval(tick, 1000);
})();
