// Lets the official library of JavaScript verify deliveries, and Node's crypto the hub's signatures: JSON lines in, out.
import { createPublicKey, verify } from 'node:crypto';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { Webhook } = createRequire(`${process.env.MODULES}/`)('standardwebhooks');

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body, orders } = JSON.parse(line);
  const outcome = { genuine: true, ordered: [] };
  try {
    new Webhook(secret).verify(Buffer.from(body, 'base64').toString(), headers);
  } catch {
    outcome.genuine = false;
  }
  for (const { jwk, signed, signature } of orders) {
    const how = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
    outcome.ordered.push(verify('sha256', Buffer.from(signed), how, Buffer.from(signature, 'base64url')));
  }
  console.log(JSON.stringify(outcome));
}
