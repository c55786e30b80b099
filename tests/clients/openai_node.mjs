// openai-node. usage: CLIENTS=FOLDER node openai_node.mjs TASK BASE_URL MODEL…

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { OpenAI } = createRequire(`${process.env.CLIENTS}/`)("openai");
const [task, baseUrl, model, embedder] = process.argv.slice(2);
const messages = [{ role: "user", content: "Hello" }];
const client = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: "none", maxRetries: 0, timeout: 120_000 });

const chatStream = () => client.chat.completions.create({ model, messages, stream: true });
const responsesStream = () => client.responses.create({ model, input: "Hello", stream: true });

async function answers() {
  const chat = await client.chat.completions.create({ model, messages, max_tokens: 64 });
  const phrase = chat.choices[0].message.content.trim();
  assert.match(phrase, /local model server/);
  let [streamed, chunks] = ["", 0];
  for await (const chunk of await chatStream()) {
    streamed += chunk.choices[0]?.delta.content ?? "";
    chunks += 1;
  }
  assert.equal(streamed.trim(), phrase);
  assert.ok(chunks > 3, "it came in one piece");
  const response = await client.responses.create({ model, input: "Hello", max_output_tokens: 64 });
  assert.equal(response.output_text.trim(), phrase);
  let [text, last] = ["", ""];
  for await (const event of await responsesStream()) {
    text += event.type === "response.output_text.delta" ? event.delta : "";
    last = event.type;
  }
  assert.equal(text.trim(), phrase);
  assert.equal(last, "response.completed");
  const { data } = await client.embeddings.create({ model: embedder, input: ["one", "two"] });
  assert.equal(data.length, 2);
  assert.ok(data[0].embedding.length > 1);
}

async function abort() {
  const stream = await chatStream();
  for await (const _ of stream) {
    stream.controller.abort();
    break;
  }
  console.log("aborted");
  // The end of this process would end the connection, too.
  for await (const _ of process.stdin);
}

// Reads a stream that must not look as if it were whole.
async function breaks(open) {
  try {
    for await (const _ of await open()) console.log("event");
  } catch (error) {
    console.log("raised", error.constructor.name, error.message);
    return;
  }
  throw new Error("it ended as if it were whole");
}

async function crowd() {
  const ask = () => client.chat.completions.create({ model, messages, max_tokens: 2 });
  for (const answer of await Promise.all(Array.from({ length: 200 }, ask))) {
    assert.ok(answer.choices[0].message.content);
  }
}

const tasks = {
  answers,
  abort,
  "chat-breaks": () => breaks(chatStream),
  "responses-breaks": () => breaks(responsesStream),
  crowd,
};
await tasks[task]();
