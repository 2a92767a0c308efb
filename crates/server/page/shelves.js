// The list of conversations, and their way out and in.

import { html, useRef, useState } from "./vendor/preact.js";
import { Icon } from "./icons.js";
import { toFile } from "./shelf.js";

export function Shelves({ chat, close }) {
  const [fault, setFault] = useState("");
  const picker = useRef();
  const open = (conversation) => {
    chat.open(conversation);
    close();
  };
  const take = async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    try {
      chat.take(await file.text());
      setFault("");
    } catch (error) {
      setFault(error.message);
    }
  };
  return html`<nav class="shelves" id="shelves" aria-label="Conversations">
    <button type="button" class="plain begin" onClick=${() => { chat.begin(); close(); }}><${Icon} name="new" />New conversation</button>
    <ul>
      ${chat.conversations.map((conversation) => html`<li key=${conversation.id}>
        <button type="button" class="title" aria-current=${conversation === chat.current ? "true" : null}
          onClick=${() => open(conversation)}>${conversation.title || "Untitled"}</button>
        <${Remove} ...${{ chat, conversation }} />
      </li>`)}
    </ul>
    ${fault && html`<p class="fault" role="alert">${fault}</p>`}
    <div class="row">
      <button type="button" class="quiet" disabled=${!chat.conversations.length} onClick=${() => download(chat.conversations)}>Export</button>
      <button type="button" class="quiet" onClick=${() => picker.current.click()}>Import</button>
      <input ref=${picker} type="file" accept=".json,application/json" class="unseen" tabindex="-1" aria-label="File of conversations" onChange=${take} />
    </div>
  </nav>`;
}

/** Deletes when pressed twice. */
function Remove({ chat, conversation }) {
  const [sure, setSure] = useState(false);
  const press = () => (sure ? chat.remove(conversation) : setSure(true));
  return html`<button type="button" class=${sure ? "quiet remove sure" : "quiet remove"} onClick=${press} onBlur=${() => setSure(false)}
    aria-label=${sure ? `Really delete ${conversation.title}` : `Delete ${conversation.title}`}>
    ${sure ? "Delete?" : html`<${Icon} name="close" />`}
  </button>`;
}

function download(conversations) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(toFile(conversations));
  link.download = `tidemill-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
