// What the page asks of the server: an answer in pieces, and how the machine is.

import { loadSettings } from "./settings.js";

/** A refusal, in the server's own words. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const { apiKey } = loadSettings();
  const headers = { ...options.headers, ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}) };
  const response = await fetch(path, { ...options, headers, credentials: "omit" });
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const body = await response.json().catch(() => null);
  let message = body?.error?.message ?? `the server answered with status ${response.status}`;
  const again = response.headers.get("retry-after");
  if (again) message += ` (try again in ${again} s)`;
  return new Refused(response.status, message);
}

/** The events of a stream as `{ event, data }`, in order. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const frames = (rest + value.replaceAll("\r\n", "\n")).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        const event = { event: "message", data: "" };
        for (const line of frame.split("\n")) {
          if (line.startsWith("event: ")) event.event = line.slice(7);
          if (line.startsWith("data: ")) event.data += line.slice(6);
        }
        if (event.data) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The chunks of a chat completion. */
export async function* answer(body, signal) {
  const response = await ask("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  for await (const { data } of events(response)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Refused(500, chunk.error.message ?? "the answer failed");
    yield chunk;
  }
  throw new Refused(0, "the server went away in the middle of the answer");
}

/** How the machine is, again and again. */
export async function* status(signal) {
  const response = await ask("/api/events", { signal });
  for await (const { data } of events(response)) yield JSON.parse(data);
}

/** How much each expert of each layer is used. */
export async function heat(signal) {
  const response = await ask("/api/heat", { signal });
  return (await response.json()).layers;
}
