// What the model wants to be called, and a place for what came of it.

import { html, useState } from "./vendor/preact.js";

export function Calls({ message, at, chat, busy }) {
  const calls = message.calls.filter(Boolean);
  const answered = chat.current.messages.slice(at + 1).filter(({ role }) => role === "tool");
  const open = !busy && at === chat.current.messages.length - 1;
  const [results, setResults] = useState({});
  const submit = (event) => {
    event.preventDefault();
    chat.send("", calls.map(({ id }, index) => ({ id, content: results[index] ?? "" })));
  };
  return html`<form class="calls" onSubmit=${submit}>
    ${calls.map((call, index) => html`<section class="call" key=${index} aria-label=${`Call of ${call.name}`}>
      <h3><span class="unseen">Call of </span><code>${call.name}</code></h3>
      <pre tabindex="0" aria-label="Arguments">${pretty(call.arguments)}</pre>
      ${open
        ? html`<label>Result<textarea rows="2" value=${results[index] ?? ""}
            onInput=${(event) => setResults({ ...results, [index]: event.target.value })}></textarea></label>`
        : answered[index] && html`<pre class="result" tabindex="0" aria-label="Result">${answered[index].content}</pre>`}
    </section>`)}
    ${open && html`<div class="row"><button type="submit" class="plain">Send ${calls.length > 1 ? "results" : "result"}</button></div>`}
  </form>`;
}

/** JSON on lines of its own; what is not complete yet as it is. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
