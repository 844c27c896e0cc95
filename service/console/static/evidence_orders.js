// Holds the orders of an evidence file against what the officers signed, and the answers against their facts.
"use strict";

Object.assign(window.hoatocEvidence, (() => {
  const { canonical, commitment, digestOf, encoded, instant, member } = window.hoatocEvidence;
  const { objectOf, plainly, same, targetsOf } = window.hoatocEvidence;
  const hub = ["hub", "hoatoc-hub", "hoatoc-hub"];
  const saidLater = {
    "freeze vn.hoatoc.order.read_back": "read_back",
    "disclose vn.hoatoc.order.silence_ended": "silence_ended",
    "trace vn.hoatoc.order.silence_ended": "silence_ended",
  };
  const namesItsDispatch = new Set(["order.delivered", "dispatch.sent", "dispatch.failed", "dispatch.dead"]);
  const second = (at) => at / 1000000n;

  const undone = (body) => body.lifts_order_id || body.extends_order_id || null;
  const dispatch = (message) => {
    const plain = message.replace(/^msg_/, "");
    return [plain.slice(0, 8), plain.slice(8, 12), plain.slice(12, 16), plain.slice(16, 20), plain.slice(20)].join("-");
  };
  const ranked = (officer) => (officer ? { rank: officer.rank, number: officer.number } : null);

  const secondOfficer = (findings, { request }) => {
    const ids = request.approvals.filter((each) => each.kind === "approval").map((each) => each.officer_id);
    return ranked(findings.bundle.officers.find((each) => ids.includes(each.id)));
  };

  // The ends as instants: one written otherwise is the same one.
  const windowOf = ({ window }) => (window ? [instant(window.since), instant(window.until)].join(" ") : null);

  const startsAsAsked = (body, plain, filed) => {
    const [startsAt, filedAt] = [instant(body.starts_at), filed ? instant(filed.at) : null];
    if (plain.starts_at) return startsAt === instant(plain.starts_at);
    return startsAt !== null && filedAt !== null && startsAt <= filedAt;
  };

  const hold = (findings, section, original, order, message, { isFirst, when }) => {
    const { body } = message;
    const { demand } = section;
    if (demand === null) return findings.note("order.agrees", order.id, "request");
    const filed = section.only("request.submitted");
    const said = filed ? objectOf(filed.data) : {};
    const plain = plainly(demand);
    const later = saidLater[`${order.action} ${message.type}`] ?? null;
    const action = isFirst ? order.action : later ?? "lift";
    const other = secondOfficer(findings, section);
    const pairs = {
      when: [when, true],
      type: [message.type, `vn.hoatoc.order.${action}`],
      action: [body.action, action],
      order_id: [body.order_id, order.id],
      participant_id: [body.participant_id, order.participant_id],
      request_id: [body.request_id, section.id],
      reference: [body.reference, said.reference],
      agency: [member(body.agency, "id"), section.request.agency],
      officer: [body.officer, ranked(findings.bundle.officers.find((each) => each.id === demand.officer_id))],
      // An earlier build's orders do not name the second officer, and lack some members altogether.
      second_officer: [Object.hasOwn(body, "second_officer") ? body.second_officer : other, other],
      target: [targetsOf(original.demand).some((each) => same(each, body.target)), true],
      whole_account: [body.whole_account, demand.action === "freeze" && !demand.amount],
      amount: [body.amount, plain.amount],
      measure: [body.measure, plain.measure],
      payment: [body.payment, plain.payment],
      asked: [body.asked, plain.asked],
      window: [windowOf(body), windowOf(plain)],
      confidential: [Object.hasOwn(body, "confidential") ? body.confidential : false, ["disclose", "trace"].includes(action)],
      starts_at: [startsAsAsked(body, plain, filed), true],
      answer_url: [body.answer_url, `/v1/orders/${order.id}/acknowledgements`],
    };
    for (const name of ["case_number", "urgency", "legal_basis", "document", "contact"]) pairs[name] = [body[name], plain[name]];
    if (isFirst) {
      const endsAt = instant(body.ends_at);
      const undoes = ["lift", "extend"].includes(demand.action);
      const there = original.request.orders.filter((each) => each.participant_id === order.participant_id);
      const undoable = undoes ? there.map((each) => each.id) : [null];
      pairs.ends_at = [endsAt, instant(said.ends_at)];
      pairs.ends_as_asked = [endsAt, plain.ends_at ? instant(plain.ends_at) : endsAt];
      pairs.action_asked = [action, demand.action];
      pairs.original = [undoable.includes(undone(body)), true];
    } else {
      pairs.lifts = [body.lifts_order_id, later ? null : order.id];
    }
    return findings.expect("order.agrees", order.id, pairs);
  };

  const isHandover = (body) => Object.hasOwn(body, "Payload");

  const checkAnswer = async (findings, order, answer, recorded) => {
    const owner = ["participant", order.participant_id, order.participant_id];
    const about = `${order.participant_id} ${order.id}`;
    const isMessage = answer.body.startsWith("<");
    const body = isMessage ? {} : objectOf(answer.body);
    // A browser reads neither ISO 20022 nor ETSI's format: it says so, and counts the key that the message names.
    const isForeign = isMessage || isHandover(body);
    if (isMessage) {
      findings.note("answer.signature", about, "", true);
      const kid = /<(?:\w+:)?KeyName>([^<]+)</.exec(answer.body);
      if (kid) findings.used.add(kid[1]);
    } else if (isForeign && answer.signature === null) {
      findings.note("answer.signature", about, "", true);
    } else if (body.outcome !== "received" || answer.signature !== null) {
      const payload = canonical(answer.body);
      const takenAt = instant(answer.received_at);
      await findings.signature("answer.signature", answer.signature, { kind: "answer", payload, owner, about: order.id, takenAt });
    }
    if (isForeign) findings.note("answer.order", order.id, "", true);
    else if (Object.hasOwn(body, "order_id")) {
      findings.expect("answer.order", order.id, {
        order: [body.order_id, order.id], participant: [body.participant_id, order.participant_id],
      });
    }
    for (const name of ["amount_held", "amount_returned"]) {
      if ((recorded?.[name] ?? null) === null) continue;
      if (isForeign) findings.note("answer.fact", order.id, "", true);
      else findings.expect("answer.fact", order.id, { [name]: [recorded[name], member(body[name], "value")] });
    }
  };

  const checkAnswers = async (findings, { request }, order, told) => {
    const given = new Map();
    const key = (name, at) => `${name} ${at}`;
    for (const each of order.answers) given.set(key(await commitment(request, each.body), instant(each.received_at)), each);
    const recorded = new Map();
    for (const [fact, data] of told) {
      let name = data.answer_commitment;
      if (data.answer_sha256 && !name) {
        // An earlier build's facts name the digest itself.
        const digests = await Promise.all(order.answers.map((each) => digestOf(each.body)));
        const meant = order.answers[digests.indexOf(data.answer_sha256)];
        name = meant ? await commitment(request, meant.body) : data.answer_sha256;
      }
      if (name) recorded.set(key(name, instant(fact.at)), data);
    }
    findings.expect("answers.recorded", order.id, { answers: [[...recorded.keys()].every((each) => given.has(each)), true] });
    for (const [name, answer] of given) await checkAnswer(findings, order, answer, recorded.get(name));
    findings.expect("answers.once", order.id, { answers: [given.size, order.answers.length] });
  };

  const checkOrder = async (findings, section, original, order, placed) => {
    const said = objectOf(placed.data);
    const first = order.messages[0]?.body ?? {};
    findings.expect("order.fact", order.id, {
      participant: [said.participant_id, order.participant_id],
      action: [said.action, order.action],
      amount: [said.amount, member(first.amount, "value")],
      original: [said.original_order_id, undone(first)],
    });
    const told = section.facts.filter(([, data]) => data.order_id === order.id);
    const causes = [...told.map(([fact]) => fact), ...section.factsOf("request.silence_ended")];
    const seconds = new Set(causes.map((fact) => instant(fact.at)).filter((at) => at !== null).map(second));
    const there = order.messages.map((message) => `${dispatch(message.id)} ${message.type}`);
    const sent = told.filter(([fact, data]) => namesItsDispatch.has(fact.code) && data.kind === "order");
    const numbers = order.messages.map((message) => message.body.sequence);
    findings.expect("order.messages", order.id, {
      sent: [sent.every(([, data]) => there.includes(`${data.dispatch_id} ${data.message_type}`)), true],
      placed: [order.messages.length > 0, true],
      sequence: [numbers.every((each, place) => Number.isInteger(each) && (place ? numbers[place - 1] : 0) < each), true],
    });
    for (const [number, message] of order.messages.entries()) {
      const signed = await findings.signature("order.signature", message.signature, {
        kind: "order", payload: encoded(message.body), owner: hub, about: order.id, takenAt: number === 0 ? instant(placed.at) : null,
      });
      const when = signed ? seconds.has(second(signed.signedAt)) : true;
      hold(findings, section, original, order, message, { isFirst: number === 0, when });
    }
    await checkAnswers(findings, section, order, told);
  };

  // The orders of one request; `original` is what it lifts or extends, itself where it does neither.
  const verifyOrders = async (findings, section, original) => {
    const placed = new Map(section.factsOf("order.placed").map((fact) => [String(objectOf(fact.data).order_id), fact]));
    const ids = section.request.orders.map((order) => order.id).sort();
    findings.expect("orders.placed", section.id, { orders: [ids, [...placed.keys()].sort()] });
    for (const order of section.request.orders) {
      if (placed.has(order.id)) await checkOrder(findings, section, original, order, placed.get(order.id));
    }
  };

  return { hub, verifyOrders };
})());
