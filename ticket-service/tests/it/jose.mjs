// node jose.mjs FOLDER URL TOKEN: verifies an access token by the keys at URL, with the jose that npm put into FOLDER.
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, url, token] = process.argv.slice(2);
const { createRemoteJWKSet, jwtVerify } = await import(createRequire(join(folder, "from-here.js")).resolve("jose"));
const expected = {
  algorithms: ["EdDSA"],
  audience: "deskhand",
  issuer: "deskhand",
  requiredClaims: ["exp", "iat", "jti", "role", "sid", "sub"],
  typ: "at+jwt",
};
try {
  const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(url)), expected);
  console.log(JSON.stringify({ sub: payload.sub }));
} catch (error) {
  console.log(JSON.stringify({ error: error.code ?? String(error) }));
}
