// What deploy/internal/bench/edge measures, in workerd: the Worker, the two peers that it is compared with, and the Worker that measures
// calls, each on an address of its own with nothing in front of it. The addresses, and the process of workerd, are in the file that
// is the first argument, as JSON, once all is ready. TOKEN_KEYS is in the environment; the bucket holds OBJECTS, an object of sizes
// by key.
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { unstable_readConfig } from "wrangler";

const { TOKEN_KEYS, OBJECTS } = process.env;
const root = new URL("..", import.meta.url).pathname;
const { compatibility_date } = unstable_readConfig({ config: root + "../wrangler.toml" });

async function worker(name, script, env) {
  const { outputFiles } = await build({
    entryPoints: [root + script], bundle: true, format: "esm", target: "es2022", conditions: ["workerd"], write: false,
    external: ["*.wasm", "cloudflare:*"], logLevel: "error",
  });
  return {
    name,
    modules: [
      { type: "ESModule", path: `${root}${name}.js`, contents: outputFiles[0].text },
      { type: "CompiledWasm", path: root + "edge.wasm" },
    ],
    modulesRoot: root,
    compatibilityDate: compatibility_date,
    bindings: { TOKEN_KEYS, ...env },
    r2Buckets: { BUCKET: "weir" },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
}

const names = ["weir", "bare", "jose", "measure"];
const mf = new Miniflare(convertV4MiniflareOptions({
  workers: await Promise.all([
    worker("weir", "worker.mjs"),
    worker("bare", "bench/peer.mjs"),
    worker("jose", "bench/peer.mjs", { CHECK: "jose" }),
    worker("measure", "bench/measure.mjs"),
  ]),
}));
await mf.ready;
const bucket = await mf.getR2Bucket("BUCKET", "weir");
for (const [key, size] of Object.entries(JSON.parse(OBJECTS))) {
  await bucket.put(key, new Uint8Array(size), { httpMetadata: { contentType: "video/iso.segment", cacheControl: "public, max-age=31536000, immutable" } });
}
const addresses = await Promise.all(names.map(async (name) => [name, (await mf.unsafeGetDirectURL(name)).origin]));
const children = readdirSync("/proc/self/task").map((task) => readFileSync(`/proc/self/task/${task}/children`, "utf8"));
const [pid] = children.join(" ").match(/\d+/g).filter((child) => readFileSync(`/proc/${child}/comm`, "utf8").trim() === "workerd");
const [, , ready] = process.argv;
writeFileSync(ready + ".part", JSON.stringify({ ...Object.fromEntries(addresses), pid: Number(pid) }));
renameSync(ready + ".part", ready); // whole, or not there
process.on("SIGTERM", () => mf.dispose().then(() => process.exit()));
