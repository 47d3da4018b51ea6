// The Worker that measures calls. The clock of workerd stands still while a script runs, so it only repeats: whoever asks takes the
// time of a request that repeats nothing off that of one that repeats a call many times.
//
//	POST /prepare {"hs256": [token, …], "eddsa": [token, …]}  what to verify, more than the module remembers; all open videos/abc
//	POST /run?call=NAME&times=N                               repeats one of the calls below
//	POST /fill?from=N [token, …]                              a request with each, the first for the video vN, the next for the next;
//	                                                          all to one instance, which from=0 makes. Says how large its memory
//	                                                          is, in bytes
import { call, compose, Instance } from "../module.mjs";
import { honoOpens, joseOpens } from "./claims.mjs";

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      case "/prepare":
        return Response.json(await prepare(env, await request.json()));
      case "/run":
        return Response.json(await calls[searchParams.get("call")](env, Number(searchParams.get("times"))));
      case "/fill":
        return Response.json(fill(env, await request.json(), Number(searchParams.get("from"))));
    }
    return new Response(null, { status: 404 });
  },
};

const segment = (video, part) => `videos/${video}/hls/720p/segment_${part}_abc.m4s`;
const theSegment = segment("abc", 1);

// questionOf and termsOf are the message to decide about a player's request for a segment, as worker.mjs makes it.
const questionOf = (token, key) => compose([`https://video.example.com/t/${token}/${key}`, "", "", "https://www.example.com/", "192.0.2.1", ""]);
const termsOf = () => compose([Math.floor(Date.now() / 1000), "GET", "DE", "https://www.example.com", "", "", "", "", "", "", "*/*", "gzip, deflate, br, zstd"]);

// reply is what the bucket says; and of revoked tokens, that there are none.
const reply = ["found", 200_000, '"d41d8cd98f00b204e9800998ecf8427e"', 1_700_000_000_000, "public, max-age=31536000, immutable"];
const withEpoch = [...reply, "missing", ""];
const withoutEpoch = [...reply, "", ""];

let edge; // the instance that is called alone
let tokens, requests, terms, replied; // what is behind the terms of each: the step that it led to, and the reply

// prepare makes all that is not to be measured, and calls everything once: one that refuses its token would be quick.
async function prepare(env, said) {
  tokens = said;
  edge = new Instance(env);
  terms = termsOf();
  const composed = (list) => list.map((token) => questionOf(token, theSegment) + terms);
  const [token] = said.hs256;
  const parts = said.hs256.map((_, i) => segment("abc", i));
  requests = { first: composed(said.hs256), again: parts.map((key) => questionOf(token, key) + terms), eddsa: composed(said.eddsa) };
  ask(env, token, withEpoch); // from now on the video's epoch is known
  const [request] = requests.first;
  const decided = () => edge.read(edge.decide(edge.write(request))).said;
  mustAnswer(edge.read(edge.respond(edge.write(terms + decided() + compose(withEpoch)))));
  replied = decided() + compose(withoutEpoch);
  for (const name in calls) await calls[name](env, 1);
  return {};
}

// calls are what is measured, each a number of times.
const calls = {
  decide: (_, times) => alone(requests.first, times),
  decide_remembered: (_, times) => alone(requests.again, times),
  decide_eddsa: (_, times) => alone(requests.eddsa, times),
  decide_shim: (env, times) => {
    for (let i = 0; i < times; i++) ask(env, next(tokens.hs256), withoutEpoch);
  },
  decide_remembered_shim: (env, times) => {
    for (let i = 0; i < times; i++) ask(env, tokens.hs256[0], withoutEpoch);
  },
  jose: (env, times) => verified(joseOpens, env, tokens.hs256, times),
  jose_eddsa: (env, times) => verified(joseOpens, env, tokens.eddsa, times),
  hono: (env, times) => verified(honoOpens, env, tokens.hs256, times),
  instantiate: (env, times) => {
    for (let i = 0; i < times; i++) new Instance(env);
  },
};

// alone calls the module as the shim does, but with requests that are composed already, and reads no step.
function alone(requests, times) {
  let size;
  for (let i = 0; i < times; i++) {
    edge.decide(edge.write(next(requests)));
    size = edge.respond(edge.write(terms + replied));
  }
  if (times) mustAnswer(edge.read(size));
}

// ask does what worker.mjs does with the module for one request.
function ask(env, token, reply) {
  const terms = termsOf();
  const { kind, said } = call("decide", env, questionOf(token, theSegment) + terms);
  if (kind !== "fetch") throw new Error("the module refused a token");
  return mustAnswer(call("respond", env, terms + said + compose(reply)));
}

async function verified(opens, env, tokens, times) {
  for (let i = 0; i < times; i++) {
    if (!(await opens(env, next(tokens), theSegment))) throw new Error("a peer refused a token");
  }
}

function mustAnswer({ kind, fields: [, status] }) {
  if (kind !== "answer" || status !== "200") throw new Error(`the module gave ${kind} ${status}`);
}

// next takes turns: when one comes again, the module has long forgotten it.
let turn = 0;
const next = (list) => list[turn++ % list.length];

let filled; // the instance whose memory is looked at

function fill(env, tokens, from) {
  if (from === 0) filled = new Instance(env);
  for (const [i, token] of tokens.entries()) {
    const terms = termsOf();
    const { said } = filled.read(filled.decide(filled.write(questionOf(token, segment("v" + (from + i), 1)) + terms)));
    mustAnswer(filled.read(filled.respond(filled.write(terms + said + compose(withEpoch)))));
  }
  return filled.memory.buffer.byteLength;
}
