// The form of an evidence file, member by member, and of the demand that an officer signed in it.
"use strict";

Object.assign(window.hoatocEvidence, (() => {
  const { instant, isObject, parsed } = window.hoatocEvidence;
  const text = (most) => (value) => typeof value === "string" && value.length <= most;
  const [long, short] = [text(65536), text(4096)];
  const isInstant = (value) => typeof value === "string" && instant(value) !== null;
  const orNull = (fits) => (value) => value === null || fits(value);
  const one = (...words) => (value) => words.includes(value);
  const signed = { signature: orNull(short) };
  const officers = { officer_id: long, body: long, ...signed };

  // A list of parts, of at least and at most so many.
  class Parts {
    constructor(shape, least = 0, most = Infinity) {
      Object.assign(this, { shape, least, most });
    }
  }

  const fact = {
    sequence: (value) => Number.isSafeInteger(value) && value >= 1,
    tenant: long, request_id: orNull(long), code: long, actor: { kind: long, id: long, tenant: long }, at: long, data: long, hash: long,
  };
  const order = {
    id: long, participant_id: long, action: long,
    messages: new Parts({ id: long, type: long, body: isObject, ...signed }),
    answers: new Parts({ received_at: isInstant, body: long, ...signed }),
  };
  const request = {
    id: long, agency: long, body: long, "salt?": orNull(long), ...signed,
    approvals: new Parts({ kind: one("approval", "review"), officer_id: long, ...signed }),
    withdrawal: [officers], "silence_ends?": new Parts(officers), orders: new Parts(order),
    replies: new Parts({ appeal_id: long, ...officers }), decisions: new Parts({ appeal_id: long, ...officers }), facts: new Parts(fact),
  };
  const key = {
    kid: long, jwk: (value) => isObject(value) && Object.values(value).every((each) => typeof each === "string"),
    owner_kind: one("officer", "participant", "hub"), owner_id: long, tenant: long, purpose: long,
    not_before: isInstant, not_after: isInstant, revoked_at: orNull(isInstant),
  };
  const whole = {
    format: one("hoatoc-evidence/1"), hub: long, exported_at: isInstant, requests: new Parts(request, 1, 2),
    officers: new Parts({ id: long, name: long, rank: long, number: long }), keys: new Parts(key), seal: orNull(short),
    "drill?": (value) => value === true || value === null,
  };

  // Where a value does not fit: the paths of the members, none where it does.
  const misfits = (value, shape, path = "") => {
    if (typeof shape === "function") return shape(value) ? [] : [path];
    if (shape instanceof Parts) {
      if (!Array.isArray(value) || value.length < shape.least || value.length > shape.most) return [path];
      return value.flatMap((each, place) => misfits(each, shape.shape, `${path}.${place}`));
    }
    if (Array.isArray(shape)) return value === null ? [] : misfits(value, shape[0], path);
    if (!isObject(value)) return [path];
    const names = Object.keys(shape).map((name) => [name.replace("?", ""), name.endsWith("?"), shape[name]]);
    const known = new Set(names.map(([name]) => name));
    const foreign = Object.keys(value).filter((name) => !known.has(name));
    const inner = names.flatMap(([name, isOptional, fits]) => {
      if (!Object.hasOwn(value, name)) return isOptional ? [] : [`${path}.${name}`];
      return misfits(value[name], fits, `${path}.${name}`);
    });
    return [...inner, ...foreign.map((name) => `${path}.${name}`)];
  };

  const bundleMisfits = (value) => misfits(value, whole).map((path) => path.replace(/^\./, ""));

  // What a demand's members look like, as the hub's shapes have them; that a telephone number or the ending of a domain
  // exists is what they know and this does not. With a question mark what may be left out, or null.
  const matches = (pattern) => (value) => typeof value === "string" && pattern.test(value);
  const listOf = (fits, most) => (value) => Array.isArray(value) && value.length > 0 && value.length <= most && value.every(fits);
  const numbered = matches(/^[\p{L}\p{N}_][\p{L}\p{N}_ /.-]{0,63}$/u);
  const said = (most) => (value) => matches(/^\S(.*\S)?$/u)(value) && [...value].length <= most;
  const isDay = (value) => matches(/^\d{4}-\d\d-\d\d$/)(value) && instant(`${value}T00:00:00Z`) !== null;
  const isHouse = matches(/^[\p{L}\p{N}_][\p{L}\p{N}_ .&()-]{1,63}$/u);
  const isDigest = matches(/^[0-9a-f]{64}$/);
  const isPhone = matches(/^\+[1-9][0-9]{6,14}$/);
  const isMail = matches(/^[^\s@]{1,64}@[^\s@]+$/);
  const isId = matches(/^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i);
  const isAddress = (value) => matches(/^https?:/i)(value) && value.length <= 2048 && URL.canParse(value) && !new URL(value).username;
  const isCard = (value) => {
    if (!matches(/^[0-9]{13,19}$/)(value)) return false;
    const doubled = (digit) => Math.floor((2 * digit) / 10) + ((2 * digit) % 10);
    return [...value].reverse().reduce((sum, digit, place) => sum + (place % 2 ? doubled(+digit) : +digit), 0) % 10 === 0;
  };
  const fits = (value, shape) => {
    if (!isObject(value)) return false;
    const known = new Map(Object.entries(shape).map(([name, inner]) => [name.replace("?", ""), [name.endsWith("?"), inner]]));
    const isWhole = [...known].every(([name, [isOptional]]) => isOptional || Object.hasOwn(value, name));
    return isWhole && Object.entries(value).every(([name, each]) => {
      const [isOptional, inner] = known.get(name) ?? [false, () => false];
      return (isOptional && each === null) || (typeof inner === "function" ? inner(each) : fits(each, inner));
    });
  };
  const held = { holder_name: said(120) };
  const targets = {
    account: { value: matches(/^[0-9A-Z]{4,34}$/), institution: isHouse, ...held },
    wallet: { value: matches(/^\+?[0-9A-Za-z._-]{4,64}$/), institution: isHouse, ...held },
    card: { value: isCard, "institution?": isHouse, ...held },
    phone: { value: isPhone },
    sms_sender: { value: matches(/^[0-9A-Za-z _.-]{2,11}$/) },
    social_account: { platform: isHouse, value: matches(/^\S{1,256}$/u) },
    email: { value: isMail },
    domain: { value: matches(/^[^\s/@:]{4,253}$/u) },
    url: { value: isAddress },
    content: {
      value: isAddress, "platform?": isHouse, sha256: isDigest, "perceptual_hash?": matches(/^[0-9a-f]{16,128}$/),
      "intimate?": (value) => typeof value === "boolean",
    },
  };
  const isTarget = (value) => isObject(value) && Object.hasOwn(targets, value.kind) && fits(value, { kind: long, ...targets[value.kind] });
  const isTargets = listOf(isTarget, 100);
  const money = { value: matches(/^[1-9][0-9]{0,14}$/), "currency?": one("VND") };
  const span = { "starts_at?": isInstant, "ends_at?": isInstant };
  const isDatum = one(
    "holder_name", "holder_document", "holder_birth_date", "contact_phone", "contact_email", "opened_on", "state",
  );
  const common = {
    action: long, case_number: numbered, urgency: one("hoa_toc", "thuong_khan", "khan"),
    legal_basis: one("aml_postponement", "cpc_88", "cpc_129", "decree_52_11", "decree_147", "emergency"),
    officer_id: matches(/^[a-z0-9][a-z0-9._-]{0,63}$/), "province_code?": matches(/^[0-9]{2}$/),
    document: { number: numbered, date: isDay, sha256: isDigest },
    contact: { name: said(120), phone: isPhone, "email?": isMail },
  };
  const demands = {
    freeze: { target: isTarget, "amount?": money, "whole_account?": { reason: said(200) }, ...span },
    takedown: { measure: one("block", "suspend", "remove"), targets: isTargets, ...span },
    preserve: { targets: isTargets, ...span },
    lift: { original_request_id: isId },
    extend: { original_request_id: isId, ends_at: isInstant },
    recall: {
      target: isTarget, amount: money,
      payment: { reference: said(35), sent_on: isDay, sender: isHouse, "end_to_end_id?": said(35) },
    },
    disclose: { targets: isTargets, asked: listOf(isDatum, 7) },
    trace: { target: isTarget, window: { since: isInstant, until: isInstant } },
  };

  // The demand that a body is, null where it is none.
  const demandOf = (body) => {
    const value = parsed(body);
    if (!isObject(value) || !Object.hasOwn(demands, value.action)) return null;
    if (!fits(value, { ...common, ...demands[value.action] })) return null;
    return value.action === "freeze" && !value.amount === !value.whole_account ? null : value;
  };

  const host = (name) => new URL(`//${name.toLowerCase().replace(/\.$/, "")}`, location.href).hostname;
  const phone = (number) => number.replace(/^\+840/, "+84");
  const forms = {
    phone, domain: host, url: (value) => new URL(value).href, content: (value) => new URL(value).href,
    email: (value) => `${value.slice(0, value.lastIndexOf("@"))}@${host(value.slice(value.lastIndexOf("@") + 1))}`,
  };

  const without = (value) => Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null));

  // A target as an order tells of it: in its one form, and without what no participant needs.
  const target = (value) => {
    const { intimate, ...plain } = without(value);
    try {
      return Object.hasOwn(forms, plain.kind) ? { ...plain, value: forms[plain.kind](plain.value) } : plain;
    } catch {
      return null;
    }
  };

  // A demand as an order tells of it.
  const plainly = (demand) => {
    const plain = without(demand);
    if (plain.amount) plain.amount = { currency: "VND", ...without(plain.amount) };
    if (plain.payment) plain.payment = without(plain.payment);
    plain.contact = without(plain.contact);
    if (typeof plain.contact.phone === "string") plain.contact.phone = phone(plain.contact.phone);
    return plain;
  };

  const targetsOf = (demand) => {
    if (demand === null) return [];
    const given = "target" in demand ? [demand.target] : demand.targets ?? [];
    return given.filter(isObject).map(target);
  };

  return { bundleMisfits, demandOf, plainly, targetsOf };
})());
