// The conversations and what happens to them: asking, stopping, asking again, editing. Views listen, and draw what is here.

import { answer } from "./api.js";
import { chosenFields, loadSettings } from "./settings.js";
import { emptyConversation, forget, fromFile, keep, loadAll } from "./shelf.js";

const OPEN = "tidemill.open";
/** While an answer is written it is kept this often, in milliseconds. */
const KEEP_EVERY = 1000;

export class Chat {
  constructor() {
    this.conversations = loadAll();
    /** What is to be told to whoever cannot see the page change. */
    this.notice = "";
    this.listeners = new Set();
    this.running = new Map();
    this.kept = 0;
    const last = sessionStorage.getItem(OPEN);
    this.current = this.conversations.find(({ id }) => id === last) ?? this.conversations[0] ?? emptyConversation();
    addEventListener("pagehide", () => this.leave());
  }

  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  changed(notice) {
    if (notice !== undefined) this.notice = notice;
    this.listeners.forEach((listener) => listener());
  }

  get isAnswering() {
    return this.running.has(this.current);
  }

  open(conversation) {
    this.current = conversation;
    sessionStorage.setItem(OPEN, conversation.id);
    this.changed("");
  }

  begin() {
    this.open(emptyConversation());
  }

  /** Answers to calls, by their ids, come with the message or instead of it. */
  send(text, results = []) {
    if (this.isAnswering) return;
    const { messages } = this.current;
    messages.push(...results.map(({ id, content }) => ({ role: "tool", callId: id, content })));
    if (text) messages.push({ role: "user", content: text });
    if (!this.current.title) this.current.title = text.trim().split("\n")[0].slice(0, 80);
    this.answer();
  }

  stop() {
    this.running.get(this.current)?.abort();
  }

  /** Asks again for the answer at `at`; what follows it goes. */
  retry(at) {
    if (this.isAnswering) return;
    this.current.messages.length = at;
    this.answer();
  }

  /** Says something else at `at`; what follows it goes. */
  edit(at, text) {
    if (this.isAnswering) return;
    if (at === 0) this.current.title = text.trim().split("\n")[0].slice(0, 80);
    this.current.messages.length = at;
    this.send(text);
  }

  remove(conversation) {
    this.running.get(conversation)?.abort();
    this.running.delete(conversation);
    forget(conversation.id);
    this.conversations = this.conversations.filter((other) => other !== conversation);
    if (this.current === conversation) this.current = this.conversations[0] ?? emptyConversation();
    this.changed("Conversation deleted");
  }

  take(file) {
    const found = fromFile(file);
    found.forEach(keep);
    this.conversations = [...found, ...this.conversations].sort((a, b) => b.changed - a.changed);
    if (found.length) this.open(this.conversations.find(({ id }) => id === found[0].id));
    this.changed(`${found.length} conversations imported`);
  }

  async answer() {
    const conversation = this.current;
    const said = conversation.messages.map(spoken);
    const message = { role: "assistant", content: "", reasoning: "", calls: [], state: "waiting", figures: {} };
    conversation.messages.push(message);
    this.bringForward(conversation);
    const abort = new AbortController();
    this.running.set(conversation, abort);
    this.keep(conversation);
    this.changed("Asking");
    const began = performance.now();
    message.began = began;
    try {
      const { system } = loadSettings();
      const messages = system.trim() ? [{ role: "system", content: system }, ...said] : said;
      for await (const chunk of answer({ ...chosenFields(), messages }, abort.signal)) {
        hear(message, chunk, (performance.now() - began) / 1000);
        if (Date.now() - this.kept > KEEP_EVERY) this.keep(conversation);
        this.changed();
      }
      message.state = "done";
    } catch (error) {
      message.state = abort.signal.aborted ? "stopped" : "failed";
      if (message.state === "failed") message.fault = error.message;
    }
    delete message.began;
    if (this.running.get(conversation) !== abort) return;
    this.running.delete(conversation);
    this.keep(conversation);
    this.changed(NOTICES[message.state]);
  }

  /** The page is left: answers end here, and are kept as far as they came. */
  leave() {
    this.running.forEach((abort, conversation) => {
      abort.abort();
      keep(conversation);
    });
  }

  bringForward(conversation) {
    conversation.changed = Date.now();
    this.conversations = [conversation, ...this.conversations.filter((other) => other !== conversation)];
    sessionStorage.setItem(OPEN, conversation.id);
  }

  keep(conversation) {
    this.kept = Date.now();
    if (!keep(conversation)) {
      this.notice = "This browser has no more room: export conversations, and delete some.";
    }
  }
}

const NOTICES = { done: "Answer complete", stopped: "Answer stopped", failed: "The answer failed" };

/** A message as the interface has it. */
function spoken({ role, content, reasoning, calls, callId }) {
  if (role === "tool") return { role, content, tool_call_id: callId };
  const message = { role, content };
  if (reasoning) message.reasoning_content = reasoning;
  if (calls?.length) {
    message.tool_calls = calls.map((call) => ({
      id: call.id, type: "function", function: { name: call.name, arguments: call.arguments },
    }));
  }
  return message;
}

/** Adds a chunk that came after `seconds` to a message. */
function hear(message, { choices, usage }, seconds) {
  const { figures } = message;
  const { delta = {}, finish_reason: ending } = choices?.[0] ?? {};
  const says = delta.content || delta.reasoning_content || delta.tool_calls;
  if (says) {
    message.state = "writing";
    figures.first ??= seconds;
    figures.last = seconds;
  }
  message.content += delta.content ?? "";
  message.reasoning += delta.reasoning_content ?? "";
  for (const { index, id, function: called } of delta.tool_calls ?? []) {
    const call = (message.calls[index] ??= { id: "", name: "", arguments: "" });
    call.id ||= id ?? "";
    call.name += called?.name ?? "";
    call.arguments += called?.arguments ?? "";
  }
  if (ending) message.ending = ending;
  if (usage) {
    figures.tokens = usage.completion_tokens;
    figures.prompt = usage.prompt_tokens;
    figures.cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  }
}
