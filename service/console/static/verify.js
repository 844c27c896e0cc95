// Verifies a file of evidence in this browser and shows what became of each check; the file is read here and sent nowhere.
"use strict";

(() => {
  const form = document.getElementById("verifying");
  if (!form || !window.isSecureContext || !window.hoatocEvidence) return;
  const at = (id) => document.getElementById(id);
  const words = new Map([...document.querySelectorAll("#words dt")].map((key) => [key.dataset.key, key.nextElementSibling.textContent]));
  const verdict = at("verdict");

  const why = ({ wrong }) => {
    const told = /^fact (\d+) (is missing|was changed)$/.exec(wrong);
    if (told) return words.get(`why.${told[2].replace(" ", "_")}`).replace("{number}", told[1]);
    const known = wrong.split(",").map((code) => words.get(`why.${code.trim().replaceAll(" ", "_").replaceAll(".", "_")}`));
    return known.every(Boolean) ? `${known.join("; ")} (${wrong})` : wrong;
  };

  const cell = (kind, role, ...parts) => {
    const made = document.createElement(kind);
    made.setAttribute("role", role);
    if (kind === "th") made.scope = "row";
    made.append(...parts);
    return made;
  };

  const element = (kind, text, className) => Object.assign(document.createElement(kind), { textContent: text, className });

  const row = (check) => {
    const made = document.createElement("tr");
    made.setAttribute("role", "row");
    made.className = check.wrong ? "line breached" : "line";
    made.dataset.check = check.name;
    const badge = at(check.unseen ? "not-here" : check.wrong ? "bad" : "good").content.cloneNode(true);
    const what = [words.get(`check.${check.name}`) ?? check.name, document.createElement("br")];
    if (check.wrong) what.push(element("b", why(check), "bad"), document.createElement("br"));
    what.push(element("code", check.name, "small"));
    made.append(cell("td", "cell", badge), cell("th", "rowheader", ...what), cell("td", "cell", element("code", check.about, "digest small")));
    return made;
  };

  const say = (text, tone) => {
    verdict.textContent = text;
    verdict.className = `said ${tone}`;
  };

  const show = (checks, hasKeys) => {
    const rank = ({ wrong, unseen }) => (wrong ? 0 : unseen ? 1 : 2);
    at("checks").replaceChildren(...[...checks].sort((one, other) => rank(one) - rank(other)).map(row));
    const wrong = checks.filter((each) => each.wrong).length;
    const unseen = checks.filter((each) => each.unseen).length;
    say((wrong ? verdict.dataset.wrong : verdict.dataset.holds).replace("{wrong}", wrong).replace("{count}", checks.length - unseen), wrong ? "bad" : "good");
    at("own-keys").hidden = hasKeys || wrong > 0;
    at("unseen").hidden = unseen === 0;
  };

  const textOf = async (file) => {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await file.arrayBuffer());
    } catch {
      return "";
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [file, listed] = [form.elements.file.files[0], form.elements.keys.files[0]];
    const result = at("result");
    // Nothing of the file before stands beside the name of this one.
    say(verdict.dataset.checking, "quiet");
    at("checks").replaceChildren();
    at("own-keys").hidden = true;
    at("unseen").hidden = true;
    result.hidden = false;
    const keys = listed ? window.hoatocEvidence.listOf(await textOf(listed)) : null;
    if (listed && keys === null) say(verdict.dataset.noKeys, "bad");
    else {
      try {
        show(await window.hoatocEvidence.verify(await textOf(file), keys), keys !== null);
      } catch {
        say(verdict.dataset.unread, "bad");
      }
    }
    result.focus();
  });

  form.hidden = false;
  at("leaves").hidden = true;
  at("stays").hidden = false;
})();
