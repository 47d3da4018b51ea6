// The check of a token as the libraries have it, at its quickest: keys are imported once, and what the module insists on besides
// is asked of the library where it can be: the algorithm, the kind of token, its dates, and that it is for the video.
import { verify } from "hono/jwt";
import { importJWK, jwtVerify } from "jose";

let keys; // by their ID

async function imported(env) {
  const entries = JSON.parse(env.TOKEN_KEYS).keys.map(async (jwk) => [jwk.kid, await importJWK(jwk)]);
  return new Map(await Promise.all(entries));
}

const opens = ({ sub }, key) => typeof sub === "string" && key.startsWith(sub + "/");
const options = { algorithms: ["HS256", "EdDSA"], typ: "JWT", clockTolerance: 30, requiredClaims: ["sub", "exp"] };
const find = ({ kid }) => keys.get(kid);

// joseOpens reports whether a token opens the object under a key, by jose.
export async function joseOpens(env, token, key) {
  keys ??= await imported(env);
  try {
    return opens((await jwtVerify(token, find, options)).payload, key);
  } catch {
    return false;
  }
}

let key; // hono takes one, not one of several

// honoOpens does the same by hono.
export async function honoOpens(env, token, object) {
  if (!key) {
    const [jwk] = JSON.parse(env.TOKEN_KEYS).keys;
    key = await crypto.subtle.importKey("jwk", jwk, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  }
  try {
    return opens(await verify(token, key, { alg: "HS256", typ: "JWT" }), object);
  } catch {
    return false;
  }
}
