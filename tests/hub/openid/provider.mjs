// An OpenID provider on loopback, as others wrote it: node provider.mjs <where it is> <certificate> <key> <hub's address>.
// Whom it signs in, and how strongly, is what was last posted to /control; it never asks anybody for a password.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , modules, certificate, key, hub] = process.argv;
const require = createRequire(`${modules}/`);
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

let person = { account: "9001" };
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
await new Promise((resolve) => { server.listen(0, "127.0.0.1", resolve); });
const issuer = `https://127.0.0.1:${server.address().port}`;

const client = {
  client_id: "hoatoc",
  client_secret: "a secret of these tests, & no other: 7Kq",
  redirect_uris: [`${hub}/sign-in/provider/back`],
  post_logout_redirect_uris: [`${hub}/sign-in`],
  backchannel_logout_uri: `${hub}/sign-in/provider/ended`,
  backchannel_logout_session_required: true,
  id_token_signed_response_alg: "ES256",
};

const provider = new Provider(issuer, {
  clients: [client, { ...client, client_id: "another", backchannel_logout_uri: undefined }],
  jwks: { keys: [JSON.parse(process.env.PROVIDER_KEY)] },
  cookies: { keys: ["of these tests"] },
  acrValues: ["urn:mfa", "urn:password"],
  claims: { openid: ["sub", "acr", "amr", "employee"], sid: null },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  enabledJWA: { idTokenSigningAlgValues: ["ES256", "RS256"] },
  features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  // Its own way out refuses loopback addresses, which is where the hub of a test is.
  fetch: async (url, { dispatcher, ...options }) => {
    const answer = await fetch(url, options);
    console.log(`told ${answer.status}`);
    return answer;
  },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, employee: `NV-${id}` }) }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope("openid");
    await grant.save();
    return grant;
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});
provider.on("server_error", (_, error) => { console.log(`error ${error.stack}`); });

const callback = provider.callback();
server.on("request", async (request, response) => {
  if (request.url === "/control") {
    let text = "";
    for await (const part of request) text += part;
    person = JSON.parse(text);
    response.writeHead(204).end();
  } else if (request.url.startsWith("/interaction/")) {
    if (person.refuses) {
      await provider.interactionFinished(request, response, { error: "access_denied" });
      return;
    }
    const login = { accountId: person.account, acr: person.acr, amr: person.amr };
    await provider.interactionFinished(request, response, { login });
  } else {
    callback(request, response);
  }
});
console.log(`ready ${issuer}`);
