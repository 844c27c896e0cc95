// A participant's receiver: verifies, stores before it says 2xx, keeps order, acts once, answers. Node 18, no package.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:https';
import { Hub, canonical } from './hub.mjs';

const { env } = process;
const hub = new Hub(env.HUB, env.PARTICIPANT, env.CLIENT, env.CLIENT_KEY, env.ANSWER_KEY);
// The books: one line a fact, only ever added to. What is not on the disk has not happened.
const messages = new Map();
const known = existsSync(env.BOOKS) ? readFileSync(env.BOOKS, 'utf8').split('\n').slice(0, -1) : [];
for (const line of known) note(JSON.parse(line));
const books = openSync(env.BOOKS, 'a', 0o600);

function note(fact) {
  messages.set(fact.id, { ...messages.get(fact.id), ...fact });
}

function keep(fact) {
  writeSync(books, `${JSON.stringify(fact)}\n`);
  fsyncSync(books);
  note(fact);
}

// Standard Webhooks: one of our secrets (two during a rotation) signed these bytes within five minutes.
function isGenuine(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': sentAt, 'webhook-signature': given } = headers;
  if (!id || !given || !/^[0-9]{1,12}$/.test(sentAt) || Math.abs(Date.now() / 1000 - sentAt) > 300) return false;
  return env.SECRETS.split(' ').some((secret) => {
    const mac = createHmac('sha256', Buffer.from(secret.replace('whsec_', ''), 'base64'));
    const ours = Buffer.from(`v1,${mac.update(`${id}.${sentAt}.`).update(body).digest('base64')}`);
    return given.split(' ').some((each) => each.length === ours.length && timingSafeEqual(ours, Buffer.from(each)));
  });
}

// The status for what came: 202 says that it is on the disk, and nothing more.
async function receive(headers, body) {
  if (!isGenuine(headers, body)) return 401;
  const event = JSON.parse(body);
  if (!event.type.startsWith('vn.hoatoc.order.')) return 204; // a kind of message that you do not know
  try {
    if (!(await hub.ordered(headers['hoatoc-signature'], event.data))) return 401;
  } catch (error) {
    return error instanceof SyntaxError ? 401 : 503; // 503: the hub's keys cannot be read now, the order comes again
  }
  const { data } = event;
  // The end of a silence overtakes nothing: a disclosure that is not answered is still to be answered.
  const isSilenceEnd = data.action === 'silence_ended';
  const hold = isSilenceEnd ? event.id : data.lifts_order_id ?? data.extends_order_id ?? data.order_id;
  if (!messages.has(event.id)) keep({ id: event.id, hold, sequence: data.sequence, data, state: 'new' });
  setImmediate(work);
  return 202;
}

// Yours: hold `amount` at most (null: all), lift, block, once. In an exercise (`drill`) answer, and touch nothing real.
function act(data) {
  console.log('acted', data.action, data.order_id);
  const held = ['freeze', 'read_back'].includes(data.action) ? { amount_held: data.amount } : {};
  return { outcome: data.action === 'lift' ? 'lifted' : 'executed', ...held };
}

// Take the oldest message that is not over; what a later one about the same hold has overtaken is not obeyed.
let busy = false;
async function work() {
  const next = [...messages.values()].find(({ state }) => state === 'new' || state === 'acted');
  if (!next || busy) return;
  busy = true;
  const { id, data, hold, sequence } = next;
  const isLater = (other) => other.hold === hold && other.sequence > sequence;
  try {
    if (next.state === 'acted') keep({ id, state: (await hub.answer(data, next.answer)) ? 'answered' : 'refused' });
    else if ([...messages.values()].some(isLater)) keep({ id, state: 'overtaken' });
    else if (data.action === 'silence_ended') keep({ id, state: 'noted' }); // nobody awaits an answer
    else keep({ id, state: 'acted', answer: canonical(act(data)) });
    if (messages.get(id).state !== 'acted') console.log(messages.get(id).state, data.action, data.order_id);
    setImmediate(work);
  } catch {
    setTimeout(work, 500); // the hub did not take it: once more in a while
  }
  busy = false;
}

const tls = { cert: readFileSync(env.TLS_CERT), key: readFileSync(env.TLS_KEY) };
const server = createServer(tls, (request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const status = await receive(request.headers, Buffer.concat(chunks)).catch(() => 400);
    response.writeHead(status).end();
  });
});
server.listen(Number(env.PORT), '127.0.0.1', work);
process.on('exit', () => closeSync(books));
