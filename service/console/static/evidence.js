// The verifier of evidence files in a browser: public keys and arithmetic, nothing is sent anywhere and nothing asked.
"use strict";

Object.assign(window.hoatocEvidence, (() => {
  const { Findings, bundleMisfits, canonical, demandOf, encoded, hub, instant } = window.hoatocEvidence;
  const { isObject, member, named, objectOf, parsed, same, verifyOrders } = window.hoatocEvidence;
  // An emergency hold is one officer's, to be reviewed; everything else that binds anybody takes two from the start.
  const takesTwo = new Set(["freeze", "extend", "preserve", "recall", "disclose", "trace"]);
  const silenceEnded = "vn.hoatoc.order.silence_ended";
  const sorted = (values) => [...new Set(values)].sort();

  // One request of a file: as it was received, as it is understood (null where it is not), its facts and what they say.
  class Section {
    constructor(request) {
      this.request = { salt: null, silence_ends: [], ...request };
      this.id = request.id;
      this.body = objectOf(request.body);
      this.demand = demandOf(request.body);
      this.facts = request.facts.map((fact) => [fact, objectOf(fact.data)]);
    }

    get needsTwo() {
      const { demand } = this;
      return demand === null || (takesTwo.has(demand.action) && demand.legal_basis !== "emergency");
    }

    factsOf(code) {
      return this.request.facts.filter((fact) => fact.code === code);
    }

    only(code) {
      const found = this.factsOf(code);
      return found.length === 1 ? found[0] : null;
    }
  }

  // What is wrong with a request's chain, from its first fact on; "" where nothing is. 0x00 marks a leaf (RFC 9162).
  const chain = async (request) => {
    let previous = "0".repeat(64);
    for (const [place, fact] of request.facts.entries()) {
      const { hash, ...told } = fact;
      const record = encoded({ ...told, chain: `request:${request.id}`, previous });
      if (fact.sequence !== place + 1) return `fact ${place + 1} is missing`;
      if (!record) return `fact ${place + 1} was changed`;
      const leaf = await window.hoatocSigning.digest(new Uint8Array([0, ...record]));
      if (hash !== window.hoatocSigning.hex(leaf)) return `fact ${place + 1} was changed`;
      previous = hash;
    }
    return request.facts.length ? "" : "there are no facts";
  };

  // What an officer of the request's agency signed: an approval is over the request, the rest over its own body.
  const officers = (findings, section, name, kind, signed, about, takenAt) => findings.signature(
    `${name}.signature`, signed.signature, {
      kind, payload: canonical(signed.body ?? section.request.body),
      owner: ["officer", signed.officer_id, section.request.agency], about, takenAt,
    },
  );

  const comesFirst = (section, fact) => {
    const [placed] = section.factsOf("order.placed");
    return fact.sequence > 1 && (fact.code === "request.reviewed" || !placed || fact.sequence < placed.sequence);
  };

  const secondOfficer = async (findings, section, kind, code, filer, first) => {
    const { request } = section;
    const given = request.approvals.filter((each) => each.kind === kind);
    const told = section.factsOf(code);
    if (!given.length && !told.length) return;
    findings.expect(`${kind}.fact`, request.id, { facts: [told.length, given.length], at_most_one: [given.length <= 1, true] });
    for (const [place, approval] of given.slice(0, told.length).entries()) {
      const fact = told[place];
      const signed = await officers(findings, section, kind, kind, approval, request.id, instant(fact.at));
      const said = objectOf(fact.data);
      findings.expect(`${kind}.four_eyes`, approval.officer_id, {
        another_officer: [approval.officer_id !== filer, true],
        another_key: [Boolean(first && signed && first.kid === signed.kid), false],
        officer_id: [said.officer_id, approval.officer_id],
        body_named: await named(request, said, "body", request.body),
        in_order: [comesFirst(section, fact), true],
      });
    }
  };

  const withdrawal = async (findings, section) => {
    const { request } = section;
    const told = section.factsOf("request.withdrawn");
    const withdrawn = request.withdrawal;
    if (!withdrawn && !told.length) return;
    findings.expect("withdrawal.fact", request.id, {
      facts: [told.length, 1], signed: [withdrawn !== null, true], active: [section.factsOf("request.activated").length, 0],
    });
    if (!withdrawn) return;
    await officers(findings, section, "withdrawal", "withdrawal", withdrawn, request.id, told.length ? instant(told[0].at) : null);
    const said = told.length ? objectOf(told[0].data).officer_id : null;
    const whose = [withdrawn.officer_id, withdrawn.officer_id];
    findings.expect("withdrawal.agrees", request.id, { officer_id: [[objectOf(withdrawn.body).officer_id, said], whose] });
  };

  // Two officers with two keys end the silence of a disclosure, once, and nobody is told before they did.
  const silence = async (findings, section) => {
    const ends = section.request.silence_ends;
    const told = section.factsOf("request.silence_ended");
    const messages = section.request.orders.flatMap((order) => order.messages).filter((each) => each.type === silenceEnded);
    if (!ends.length && !told.length && !messages.length) return;
    findings.expect("silence.fact", section.id, { facts: [told.length, 1], signed: [ends.length, 2] });
    const said = told.length ? objectOf(told[0].data) : {};
    const kids = new Set();
    for (const each of ends) {
      const signed = await officers(findings, section, "silence", "silence", each, section.id, told.length ? instant(told[0].at) : null);
      if (signed) kids.add(signed.kid);
    }
    const whole = Object.fromEntries(["officer_id", "reason", "second_officer_id"].map((name) => [name, said[name] ?? null]));
    const heard = Array.isArray(said.told) ? said.told : [];
    findings.expect("silence.agrees", section.id, {
      officers: [sorted(ends.map((each) => each.officer_id)), [String(said.officer_id), String(said.second_officer_id)].sort()],
      keys: [kids.size, 2],
      bodies: [ends.map((each) => objectOf(each.body)), [whole, whole]],
      reason: [messages.every((each) => same(each.body.reason, said.reason)), true],
      told: [messages.map((each) => String(each.body.order_id)).sort(), heard.map((each) => String(member(each, "order_id"))).sort()],
    });
  };

  const aboutAppeals = async (findings, section, name, given, told, { notBy = null, alike = [] } = {}) => {
    if (!given.length && !told.length) return;
    const facts = new Map(told.map((fact) => [String(objectOf(fact.data).appeal_id), fact]));
    findings.expect(`${name}.fact`, section.id, { appeals: [given.map((each) => each.appeal_id).sort(), [...facts.keys()].sort()] });
    for (const each of given) {
      const fact = facts.get(each.appeal_id);
      await officers(findings, section, name, name, each, each.appeal_id, fact ? instant(fact.at) : null);
      const [said, body] = [fact ? objectOf(fact.data) : {}, objectOf(each.body)];
      const pairs = Object.fromEntries(alike.map((inner) => [inner, [said[inner], body[inner]]]));
      pairs.officer_id = [[body.officer_id, said.officer_id], [each.officer_id, each.officer_id]];
      pairs.another_officer = [each.officer_id === notBy, false];
      findings.expect(`${name}.agrees`, each.appeal_id, pairs);
    }
  };

  const verifyRequest = async (findings, section) => {
    const { request, body, demand } = section;
    findings.note("audit.chain", `${request.facts.length} facts of ${request.id}`, await chain(request));
    findings.expect("audit.tenant", request.id, {
      tenant: [sorted(request.facts.map((fact) => fact.tenant)), [request.agency]],
      request_id: [[...new Set(request.facts.map((fact) => fact.request_id))], [request.id]],
    });
    const filed = section.only("request.submitted");
    const said = filed ? objectOf(filed.data) : {};
    const filer = String(body.officer_id);
    const first = await findings.signature("request.signature", request.signature, {
      kind: "request", payload: canonical(request.body), owner: ["officer", filer, request.agency], about: null,
      takenAt: filed ? instant(filed.at) : null,
    });
    findings.expect("request.fact", request.id, {
      fact: [filed !== null && filed === request.facts[0], true],
      body: [demand !== null, true],
      agency: [filed?.actor.tenant, request.agency],
      body_named: await named(request, said, "body", request.body),
      officer_id: [said.officer_id, filer],
      action: [said.action, body.action],
      legal_basis: [said.legal_basis, body.legal_basis],
      amount: [said.amount, member(body.amount, "value")],
      original: [said.original_request_id, body.original_request_id],
    });
    await secondOfficer(findings, section, "approval", "request.approved", filer, first);
    await secondOfficer(findings, section, "review", "request.reviewed", filer, first);
    if (section.needsTwo && section.factsOf("request.activated").length) {
      const given = request.approvals.some((each) => each.kind === "approval");
      findings.note("request.four_eyes", request.id, given ? "" : "nobody approved it");
    }
    await withdrawal(findings, section);
    await silence(findings, section);
    await aboutAppeals(findings, section, "reply", request.replies, section.factsOf("appeal.answered"));
    await aboutAppeals(findings, section, "decision", request.decisions, section.factsOf("appeal.decided"), {
      notBy: filer, alike: ["outcome", "reason_code"],
    });
  };

  const registry = (findings, sections) => {
    const { keys, officers: known } = findings.bundle;
    findings.expect("keys.used", `${keys.length} keys`, { kids: [keys.map((key) => key.kid).sort(), [...findings.used].sort()] });
    const signed = sections.flatMap(({ request, body }) => [
      String(body.officer_id),
      ...[request.approvals, request.replies, request.decisions, request.silence_ends].flat().map((each) => each.officer_id),
      ...(request.withdrawal ? [request.withdrawal.officer_id] : []),
    ]);
    findings.expect("officers.named", `${known.length} officers`, { officers: [known.map((each) => each.id).sort(), sorted(signed)] });
  };

  // A key of the file against the same key from elsewhere: what lacks or differs first, "" where nothing does.
  const against = (key, theirs) => {
    const listed = { ...(isObject(theirs.jwk) ? theirs.jwk : {}), ...theirs };
    const lacks = ["kty", "crv", "x", "y"].find((name) => !Object.hasOwn(listed, name));
    if (lacks) return `no ${lacks}`;
    const { jwk, ...rest } = key;
    const known = { ...jwk, ...rest };
    const isAlike = (name) => same(listed[name], known[name]) || (
      ["not_before", "not_after", "revoked_at"].includes(name) && listed[name] !== null && instant(listed[name]) === instant(known[name])
    );
    return Object.keys(known).filter((name) => Object.hasOwn(listed, name)).sort().find((name) => !isAlike(name)) ?? "";
  };

  const elsewhere = (findings, keys) => {
    const listed = new Map(keys.map((key) => [String(key.kid), key]));
    for (const key of findings.bundle.keys) {
      const theirs = listed.get(key.kid);
      const isHubs = key.owner_kind === hub[0] && key.owner_id === hub[1];
      let wrong = "not in the list";
      if (theirs) wrong = Object.hasOwn(theirs, "owner_id") || isHubs ? against(key, theirs) : "unknown owner";
      findings.note("keys.elsewhere", `${key.owner_id} ${key.kid}`, wrong);
    }
  };

  // A drill's file says what it is, and so does each order in it; a real one holds none that says it.
  const drill = (findings) => {
    const { bundle } = findings;
    const orders = bundle.requests.flatMap((request) => request.orders.flatMap((order) => order.messages));
    const strange = orders.filter((message) => (message.body.drill === true) !== (bundle.drill === true)).length;
    if (bundle.drill || strange) findings.note("bundle.drill", "this is an EXERCISE", strange ? `${strange} orders say otherwise` : "");
  };

  // A list of public keys, as a JSON list or as a key set; null where it is neither.
  const listOf = (text) => {
    const value = parsed(text);
    const keys = isObject(value) ? value.keys : value;
    return Array.isArray(keys) && keys.every(isObject) ? keys : null;
  };

  // Every check of a file's text: what it is called, what it is about, what is wrong ("" for nothing), and whether a
  // browser cannot look. `keys` were obtained elsewhere; without them a file proves only that it is whole.
  const verify = async (text, keys = null) => {
    const bundle = parsed(text);
    const misfits = bundle === undefined ? ["not JSON"] : bundleMisfits(bundle);
    if (misfits.length) return [{ name: "bundle.form", about: "", wrong: misfits.join("; "), unseen: false }];
    const findings = new Findings(bundle);
    findings.note("bundle.form", bundle.format);
    drill(findings);
    const sections = bundle.requests.map((request) => new Section(request));
    const [asked] = sections;
    const original = asked.demand?.original_request_id;
    const wanted = original ? [String(original).toLowerCase()] : [];
    findings.expect("bundle.requests", asked.id, { original: [sections.slice(1).map((each) => each.id), wanted] });
    for (const section of sections) {
      await verifyRequest(findings, section);
      await verifyOrders(findings, section, sections.at(-1));
    }
    const { seal, ...content } = bundle;
    await findings.signature("bundle.seal", seal, {
      kind: "evidence", payload: encoded(content), owner: hub, about: asked.id, takenAt: instant(bundle.exported_at),
    });
    registry(findings, sections);
    if (keys !== null) elsewhere(findings, keys);
    return findings.checks;
  };

  return { listOf, verify };
})());
