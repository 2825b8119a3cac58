// A certified authorization server (oidc-provider) for the tests: `node authorization_server.mjs RESOURCE...`.
//
// It prints its issuer URL once it answers, issues JWT access tokens for these RESOURCEs alone, and shows its own forms
// for login and consent, which take any name. Refresh tokens of public clients are good once.
// SIGNER_KEY holds the public key (JWK) of the client `signer`.

import { createServer } from 'node:http';
import Provider, { errors } from 'oidc-provider';

const resources = [...process.argv.slice(2), 'https://other.example/mcp'];
const server = createServer((request, response) => answer(request, response));
let answer = (_request, response) => response.writeHead(503).end();

server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'robot',
        client_secret: 'robot-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      ...(process.env.SIGNER_KEY
        ? [
            {
              client_id: 'signer',
              token_endpoint_auth_method: 'private_key_jwt',
              jwks: { keys: [JSON.parse(process.env.SIGNER_KEY)] },
              grant_types: ['client_credentials'],
              redirect_uris: [],
              response_types: [],
            },
          ]
        : []),
    ],
    scopes: ['openid', 'offline_access', 'call', 'read', 'write'],
    pkce: { required: () => true },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      registration: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, indicator) => {
          if (!resources.includes(indicator)) {
            throw new errors.InvalidTarget();
          }
          return {
            scope: 'call read write',
            audience: indicator,
            accessTokenFormat: 'jwt',
            accessTokenTTL: 300,
            jwt: { sign: { alg: 'RS256' } },
          };
        },
        useGrantedResource: () => true,
      },
    },
  });
  answer = provider.callback();
  console.log(issuer);
});
