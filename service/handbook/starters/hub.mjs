// A participant's way to the hub: who signed an order, and answers with a token, a proof and a signature of its own.
import { createHash, createPrivateKey, createPublicKey, randomUUID, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';

const b64 = (raw) => Buffer.from(raw).toString('base64url');
const sha256 = (raw) => createHash('sha256').update(raw).digest('base64url');
const publicOf = ({ crv, kty, x, y }) => ({ crv, kty, x, y });
const seconds = () => Math.floor(Date.now() / 1000);

// RFC 8785, as far as the hub's messages need it: they hold no number but small integers.
export const canonical = (value) => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
};

function load(file) {
  const jwk = JSON.parse(readFileSync(file, 'utf8'));
  const shown = publicOf(jwk);
  return { private: createPrivateKey({ key: jwk, format: 'jwk' }), public: shown, kid: sha256(canonical(shown)) };
}

function jws(key, header, payload) {
  const text = `${b64(canonical({ alg: 'ES256', ...header }))}.${b64(payload)}`;
  return `${text}.${b64(sign('sha256', text, { key: key.private, dsaEncoding: 'ieee-p1363' }))}`;
}

export class Hub {
  // `address` is the hub's issuer; the keys are JWK files: of the system that calls, and for answers.
  constructor(address, participant, client, clientKey, answerKey) {
    Object.assign(this, { address, participant, client, system: load(clientKey), signer: load(answerKey) });
    Object.assign(this, { keys: new Map(), readAt: 0, token: '', tokenEnds: 0 });
  }

  // Whether the hub signed exactly this order to us. Throws where it is no signature, or the keys cannot be read.
  async ordered(signature, data) {
    const [head, empty, tail, ...more] = (signature ?? '').split('.');
    const said = JSON.parse(Buffer.from(head, 'base64url'));
    if (!this.keys.has(said.kid) || this.readAt < seconds() - 3600) {
      const { keys } = await this.call('/v1/signing-keys');
      this.keys = new Map(keys.map((key) => [key.kid, key]));
      this.readAt = seconds();
    }
    const key = this.keys.get(said.kid);
    if (!key || key.revoked_at || empty !== '' || more.length) return false;
    const due = ['ES256', 'hoatoc-order+jws', data.order_id, this.participant];
    if (canonical([said.alg, said.typ, said.sub, data.participant_id]) !== canonical(due)) return false;
    const madeAt = said.iat * 1000;
    if (madeAt < Date.parse(key.not_before) || madeAt >= Date.parse(key.not_after)) return false;
    const how = { key: createPublicKey({ key: publicOf(key), format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
    return verify('sha256', Buffer.from(`${head}.${b64(canonical(data))}`), how, Buffer.from(tail, 'base64url'));
  }

  // Post an answer, in its canonical form. Returns whether the hub took it; throws to be tried again.
  async answer(data, body) {
    const path = data.answer_url;
    const fresh = () => ({ iat: seconds(), jti: randomUUID() });
    const about = { typ: 'hoatoc-answer+jws', kid: this.signer.kid, sub: data.order_id, aud: this.address };
    const [head, , tail] = jws(this.signer, { ...about, ...fresh() }, body).split('.');
    if (this.tokenEnds < seconds()) await this.signOn();
    const proof = { htm: 'POST', htu: this.address + path, ath: sha256(this.token), bsh: sha256(body), ...fresh() };
    const headers = {
      authorization: `DPoP ${this.token}`,
      dpop: jws(this.system, { typ: 'dpop+jwt', jwk: this.system.public }, canonical(proof)),
      'hoatoc-signature': `${head}..${tail}`,
      'content-type': 'application/json',
    };
    const answered = await fetch(this.address + path, { method: 'POST', body, headers });
    await answered.text();
    if (answered.ok) return true;
    this.tokenEnds = 0;
    if ([400, 403, 404, 422].includes(answered.status)) return false;
    throw new Error(`the hub says ${answered.status}`);
  }

  async signOn() {
    const [now, jti] = [seconds(), randomUUID()];
    const claims = { iss: this.client, sub: this.client, aud: this.address, iat: now, exp: now + 60, jti };
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: jws(this.system, { typ: 'JWT', kid: this.system.kid }, canonical(claims)),
    });
    const granted = await this.call('/oauth/token', { method: 'POST', body: form });
    [this.token, this.tokenEnds] = [granted.access_token, now + granted.expires_in - 20];
  }

  async call(path, options) {
    const answered = await fetch(this.address + path, { ...options, signal: AbortSignal.timeout(10_000) });
    if (!answered.ok) throw new Error(`the hub says ${answered.status}`);
    return answered.json();
  }
}
