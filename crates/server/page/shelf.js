// Conversations on this browser's shelf, one entry of localStorage each, so that two open pages do not overwrite each
// other's; and their way out to a file and back in.

import { name } from "./words.js";

const PREFIX = "tidemill.conversation.";
const ROLES = ["user", "assistant", "tool"];

export function emptyConversation() {
  return { id: name(), title: "", changed: Date.now(), messages: [] };
}

/** All of them, the one changed last first. */
export function loadAll() {
  const all = [];
  for (let at = 0; at < localStorage.length; at += 1) {
    const key = localStorage.key(at);
    if (!key.startsWith(PREFIX)) continue;
    try {
      const conversation = read(JSON.parse(localStorage.getItem(key)));
      conversation.id = key.slice(PREFIX.length);
      all.push(conversation);
    } catch { /* one that cannot be read hides no other */ }
  }
  return all.sort((a, b) => b.changed - a.changed);
}

/** Whether there was room for it. */
export function keep(conversation) {
  try {
    localStorage.setItem(PREFIX + conversation.id, JSON.stringify(conversation));
    return true;
  } catch {
    return false;
  }
}

export function forget(id) {
  localStorage.removeItem(PREFIX + id);
}

/** A file that holds `conversations`. */
export function toFile(conversations) {
  const text = JSON.stringify({ format: "tidemill-conversations", version: 1, conversations }, null, 1);
  return new Blob([text], { type: "application/json" });
}

/** The conversations of such a file, under new names. */
export function fromFile(text) {
  const file = JSON.parse(text);
  if (file?.format !== "tidemill-conversations" || !Array.isArray(file.conversations)) {
    throw new Error("this file holds no conversations of tidemill");
  }
  return file.conversations.map(read).map((conversation) => ({ ...conversation, id: name() }));
}

/** Takes what is understood, and refuses what would break the page. */
function read(found) {
  if (!Array.isArray(found?.messages)) throw new Error("a conversation without messages");
  return {
    id: name(),
    title: text(found.title).slice(0, 200),
    changed: Number.isFinite(found.changed) ? found.changed : Date.now(),
    messages: found.messages.filter((message) => ROLES.includes(message?.role)).map(readMessage),
  };
}

function readMessage(found) {
  const message = { role: found.role, content: text(found.content) };
  if (message.role === "tool") message.callId = text(found.callId);
  if (message.role !== "assistant") return message;
  message.reasoning = text(found.reasoning);
  const calls = Array.isArray(found.calls) ? found.calls : [];
  message.calls = calls.map((call) => ({ id: text(call?.id), name: text(call?.name), arguments: text(call?.arguments) }));
  // An answer that was being written when the page was left will not go on.
  message.state = ["done", "stopped", "failed"].includes(found.state) ? found.state : "stopped";
  message.fault = text(found.fault);
  message.ending = text(found.ending);
  const numbers = Object.entries(found.figures ?? {}).filter(([, value]) => Number.isFinite(value));
  message.figures = Object.fromEntries(numbers);
  return message;
}

const text = (value) => (typeof value === "string" ? value : "");
