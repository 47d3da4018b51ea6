// The Worker behind the real local queue. It takes notifications from the standard input, one a line, and sends them; then it
// says how each message ended, in lines "ENDED {json}" with queue, body and attempts: the queue is weir-uploads when the message
// was acknowledged, and weir-uploads-dead when it arrived there. The settings are in the environment.
import { createInterface } from "node:readline";
import { build } from "esbuild"; // wrangler's
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { unstable_readConfig } from "wrangler";

const { TRANSCODER_URL, WEBHOOK_URL, API_KEY, TOKEN_KEYS } = process.env;
const root = new URL("..", import.meta.url).pathname;
const { compatibility_date, queues } = unstable_readConfig({ config: root + "../wrangler.toml" });
const [consumer] = queues.consumers;
const [producer] = queues.producers;

// The watcher stands in front of the Worker and sees what becomes of each message.
const watcher = `
  import worker from "./worker.mjs";
  const tell = (queue, { body, attempts }) => console.log("ENDED " + JSON.stringify({ queue, body, attempts }));
  export default {
    async queue(batch, env) {
      if (batch.queue === "weir-uploads-dead") return batch.messages.forEach((message) => tell(batch.queue, message));
      const messages = batch.messages.map((message) => ({
        body: message.body, attempts: message.attempts,
        ack() { message.ack(); tell(batch.queue, message); },
        retry(options) { message.retry(options); },
      }));
      await worker.queue({ messages }, env);
    },
  };`;

// All of it in one module, as wrangler makes it.
const { outputFiles: [bundle] } = await build({
  stdin: { contents: watcher, resolveDir: root }, bundle: true, format: "esm", external: ["cloudflare:*", "*.wasm"], write: false,
});

const mf = new Miniflare(convertV4MiniflareOptions({
  modules: [
    { type: "ESModule", path: root + "watcher.mjs", contents: bundle.text },
    { type: "CompiledWasm", path: root + "edge.wasm" },
  ],
  modulesRoot: root,
  compatibilityDate: compatibility_date,
  bindings: { TRANSCODER_URL, WEBHOOK_URL, API_KEY, TOKEN_KEYS },
  queueProducers: { UPLOADS: consumer.queue, [producer.binding]: producer.queue },
  queueConsumers: {
    [consumer.queue]: {
      maxBatchSize: consumer.max_batch_size, maxBatchTimeout: consumer.max_batch_timeout,
      maxRetries: consumer.max_retries, deadLetterQueue: consumer.dead_letter_queue,
    },
    [producer.queue]: { maxBatchTimeout: 0 },
  },
}));
await mf.ready;
const queue = await mf.getQueueProducer("UPLOADS");
for await (const line of createInterface({ input: process.stdin })) await queue.send(JSON.parse(line), { contentType: "json" });
await mf.dispose(); // when the input ends
