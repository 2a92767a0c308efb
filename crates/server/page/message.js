// One message: what was said, and what can be done about it.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact.js";
import { Calls } from "./calls.js";
import { copy } from "./copy.js";
import { Markdown } from "./markdown.js";
import { Waiting } from "./waiting.js";
import { count, plural, rate, time } from "./words.js";

export function Message({ message, at, chat, machine }) {
  if (message.role === "tool") return null;
  const View = message.role === "user" ? Question : Answer;
  return html`<${View} ...${{ message, at, chat, machine }} />`;
}

function Question({ message, at, chat }) {
  const [editing, setEditing] = useState(null);
  const button = useRef();
  useLayoutEffect(() => {
    if (editing === false) button.current?.focus();
  }, [editing]);
  if (editing) return html`<${Editor} ...${{ message, at, chat, close: () => setEditing(false) }} />`;
  return html`<li class="question">
    <h2 class="unseen">You</h2>
    <p class="said">${message.content}</p>
    <div class="actions">
      <button type="button" class="quiet" ref=${button} disabled=${chat.isAnswering} onClick=${() => setEditing(true)}>Edit</button>
      <${Copy} text=${message.content} />
    </div>
  </li>`;
}

function Editor({ message, at, chat, close }) {
  const [text, setText] = useState(message.content);
  const area = useRef();
  useLayoutEffect(() => area.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    if (!text.trim() || chat.isAnswering) return;
    close();
    chat.edit(at, text);
  };
  const key = (event) => {
    if (event.key === "Escape") close();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  return html`<li class="question">
    <form class="editor" onSubmit=${submit}>
      <label class="unseen" for="edit">Say instead</label>
      <textarea id="edit" ref=${area} rows="3" value=${text} onInput=${(event) => setText(event.target.value)} onKeyDown=${key}></textarea>
      <p class="hint">What follows in the conversation is replaced.</p>
      <div class="row">
        <button type="button" class="plain" onClick=${close}>Cancel</button>
        <button type="submit" class="main" disabled=${!text.trim()}>Send</button>
      </div>
    </form>
  </li>`;
}

function Answer({ message, at, chat, machine }) {
  const busy = message.state === "waiting" || message.state === "writing";
  const last = at === chat.current.messages.length - 1;
  return html`<li class="answer" aria-busy=${busy}>
    <h2 class="unseen">Answer</h2>
    ${message.reasoning && html`<${Reasoning} text=${message.reasoning} thinking=${busy && !message.content && !message.calls.length} />`}
    ${message.content && html`<${Markdown} text=${message.content} />`}
    ${message.calls.length > 0 && html`<${Calls} ...${{ message, at, chat, busy }} />`}
    ${message.state === "waiting" && html`<${Waiting} ...${{ message, machine }} />`}
    ${message.state === "writing" && html`<span class="cursor" aria-hidden="true"></span>`}
    ${message.state === "failed" && html`<p class="fault" role="alert">${message.fault}</p>`}
    ${!busy && html`<div class="actions">
      ${message.content && html`<${Copy} text=${message.content} />`}
      <button type="button" class="quiet" disabled=${chat.isAnswering} onClick=${() => chat.retry(at)}
        title=${last ? null : "What follows is replaced"}>Retry</button>
      <span class="figures">${figures(message)}</span>
    </div>`}
  </li>`;
}

/** Folded, unless somebody wants to read along. */
function Reasoning({ text, thinking }) {
  return html`<details class="reasoning">
    <summary>${thinking ? "Thinking …" : "Thoughts"} <span class="figures">${plural(text.trim().split(/\s+/).length, "word")}</span></summary>
    <${Markdown} text=${text} />
  </details>`;
}

function Copy({ text }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    const timer = copied && setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  return html`<button type="button" class="quiet" onClick=${async () => setCopied(await copy(text))}>${copied ? "Copied" : "Copy"}</button>`;
}

function figures({ state, ending, figures: { tokens, cached, prompt, first, last } }) {
  const words = [];
  if (state === "stopped") words.push("stopped");
  if (ending === "length") words.push("cut at the token limit");
  if (tokens) words.push(plural(tokens, "token"));
  if (tokens > 1 && last > first) words.push(`${rate((tokens - 1) / (last - first))} tok/s`);
  if (first) words.push(`first after ${time(first)}`);
  if (cached) words.push(`${count(cached)} of ${count(prompt)} prompt tokens known`);
  return words.join(" · ");
}
