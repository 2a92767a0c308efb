// Where a question is written.

import { html, useLayoutEffect, useRef, useState } from "./vendor/preact.js";
import { Icon } from "./icons.js";

export function Composer({ chat }) {
  const [text, setText] = useState("");
  const area = useRef();
  const { current, isAnswering } = chat;
  useLayoutEffect(() => area.current.focus(), [current.id]);
  useLayoutEffect(() => grow(area.current), [text]);
  const submit = (event) => {
    event.preventDefault();
    if (isAnswering) return chat.stop();
    if (!text.trim()) return;
    chat.send(text, unanswered(current));
    setText("");
    area.current.focus();
  };
  const key = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!isAnswering) submit(event);
    }
  };
  return html`<form class="composer" onSubmit=${submit}>
    <label class="unseen" for="say">Message</label>
    <textarea id="say" ref=${area} rows="1" placeholder="Say something" value=${text} aria-describedby="keys"
      onInput=${(event) => setText(event.target.value)} onKeyDown=${key}></textarea>
    <button type="submit" class="send" disabled=${!isAnswering && !text.trim()} aria-label=${isAnswering ? "Stop" : "Send"}>
      <${Icon} name=${isAnswering ? "stop" : "send"} />
    </button>
    <p id="keys" class="unseen">Enter sends, Shift and Enter begin a new line, Escape stops an answer.</p>
  </form>`;
}

/** Calls that nobody answered: whoever goes on talking leaves them without a result. */
function unanswered({ messages }) {
  const last = messages.at(-1);
  return (last?.calls ?? []).filter(Boolean).map(({ id }) => ({ id, content: "" }));
}

function grow(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, 220)}px`;
}
