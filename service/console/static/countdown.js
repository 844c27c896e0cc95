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
  let news = [];
  const tell = () => {
    if (news.length) document.getElementById("spoken").textContent = news.join(" ");
    news = [];
  };

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
    if (before !== undefined && mark && before !== mark[1]) news.push(line.dataset[mark[1]].replace("{what}", what));
  };

  const tick = () => {
    for (const timer of document.querySelectorAll("[role=timer][data-due]")) {
      const left = Date.parse(timer.dataset.due) - Date.now() - offset;
      const text = (left > 0 ? timer.dataset.left || texts.left : texts.over).replace("{time}", write(Math.floor(Math.abs(left) / 1000)));
      if (timer.textContent !== text) timer.textContent = text;
      timer.classList.toggle("over", left <= 0);
      speak(timer, left);
    }
    if (face) run();
    tell();
  };

  // The frame's clock: Vietnam time, which has been UTC+7 all year since 1975.
  const face = document.getElementById("clock");
  const run = () => {
    const now = new Date(Date.now() + offset);
    const there = new Date(now.getTime() + 7 * 3600_000).toISOString();
    const [year, month, day] = there.slice(0, 10).split("-");
    face.querySelector("b").textContent = there.slice(11, 19);
    face.querySelector("span").textContent = `${day}/${month}/${year}`;
    face.dateTime = now.toISOString();
    face.title = `${now.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  };

  // The hub's clock counts, not this machine's.
  const meet = () => {
    const live = document.getElementById("live");
    const said = live ? live.dataset.now : face && face.dateTime;
    if (said) offset = Date.parse(said) - Date.now();
    tick();
  };

  document.addEventListener("hoatoc:renewed", meet);
  meet();
  setInterval(tick, 1000);
})();
