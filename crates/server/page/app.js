// The page: conversations at the left, the one that is open in the middle, the machine at the right.

import { html, render, useEffect, useReducer, useRef, useState } from "./vendor/preact.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { Icon } from "./icons.js";
import { Machine, useMachine } from "./machine.js";
import { Message } from "./message.js";
import { Settings } from "./dialog.js";
import { Shelves } from "./shelves.js";
import { rate } from "./words.js";

const WIDE = matchMedia("(min-width: 1100px)");
const MIDDLE = matchMedia("(min-width: 760px)");
/** So near to its end, in pixels, a conversation is kept in view as it grows. */
const NEAR_END = 80;

function App({ chat }) {
  const [, redraw] = useReducer((n) => n + 1, 0);
  const [opened, setOpened] = useState({ shelves: MIDDLE.matches, machine: WIDE.matches, settings: false });
  const [asked, listenAgain] = useReducer((n) => n + 1, 0);
  const { machine, wrong, fault } = useMachine(asked);
  const set = (part, open) => setOpened((opened) => ({ ...opened, [part]: open }));
  const toggle = (part) => () => set(part, !opened[part]);
  useEffect(() => chat.listen(perFrame(redraw)), []);
  useKeys((event) => {
    if (event.key !== "Escape" || opened.settings) return;
    if (chat.isAnswering) return chat.stop();
    if (!MIDDLE.matches) set("shelves", false);
    if (!WIDE.matches) set("machine", false);
  });
  useEffect(() => {
    document.title = chat.current.title ? `${chat.current.title} – tidemill` : "tidemill";
  });
  const leave = () => MIDDLE.matches || set("shelves", false);
  return html`
    <a class="skip" href="#say">Skip to the message field</a>
    <div class="frame">
      <${Bar} ...${{ machine, wrong, opened, toggle }} />
      ${opened.shelves && html`<${Shelves} chat=${chat} close=${leave} />`}
      <${Conversation} ...${{ chat, machine, fault }} />
      ${opened.machine && html`<${Machine} ...${{ machine, fault, close: toggle("machine") }} />`}
    </div>
    <p class="unseen" role="status">${chat.notice}</p>
    ${opened.settings && html`<${Settings} close=${() => { set("settings", false); listenAgain(); }} />`}`;
}

function Bar({ machine, wrong, opened, toggle }) {
  const dark = () => document.documentElement.dataset.theme === "dark";
  const [isDark, setDark] = useState(dark());
  const turn = () => {
    window.tidemillTheme.choose(isDark ? "light" : "dark");
    setDark(dark());
  };
  const working = machine?.answers.length > 0;
  const button = (name, icon, words) => html`<button type="button" class="quiet" aria-expanded=${opened[name]} aria-controls=${name}
    aria-label=${words} title=${words} onClick=${toggle(name)}><${Icon} name=${icon} /></button>`;
  return html`<header class="bar">
    ${button("shelves", "list", "Conversations")}
    <h1>${machine?.model ?? "tidemill"}</h1>
    <p class="pulse" data-state=${wrong ? "gone" : working ? "working" : "idle"}>
      ${wrong ?? (working ? `${rate(machine.rates.decode_tokens_per_second)} tok/s` : machine ? "ready" : "")}</p>
    <button type="button" class="quiet" aria-pressed=${isDark} aria-label="Dark colours" title="Dark colours" onClick=${turn}><${Icon} name="theme" /></button>
    ${button("machine", "machine", "Machine")}
    <button type="button" class="quiet" aria-haspopup="dialog" aria-label="Settings" title="Settings" onClick=${toggle("settings")}><${Icon} name="gear" /></button>
  </header>`;
}

function Conversation({ chat, machine, fault }) {
  const { messages } = chat.current;
  const scroller = useRef();
  const near = useRef(true);
  useEffect(() => {
    if (near.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  });
  useEffect(() => {
    near.current = true;
  }, [chat.current.id, messages.length]);
  const scrolled = ({ target }) => {
    near.current = target.scrollHeight - target.scrollTop - target.clientHeight < NEAR_END;
  };
  return html`<main>
    <div class="scroller" ref=${scroller} onScroll=${scrolled} tabindex="0" role="region" aria-label="Conversation">
      ${messages.length === 0 && html`<div class="welcome">
        <p>${machine ? machine.model : "tidemill"}</p>
        <p class="hint">${fault ?? "Everything said here stays between this browser and the server."}</p>
      </div>`}
      <ol class="messages" aria-live="polite" aria-relevant="additions">
        ${messages.map((message, at) => html`<${Message} key=${`${chat.current.id}/${at}`} ...${{ message, at, chat, machine }} />`)}
      </ol>
    </div>
    <${Composer} chat=${chat} />
  </main>`;
}

function useKeys(pressed) {
  const latest = useRef();
  latest.current = pressed;
  useEffect(() => {
    const listener = (event) => latest.current(event);
    addEventListener("keydown", listener);
    return () => removeEventListener("keydown", listener);
  }, []);
}

/** Tokens may come faster than a screen shows them. */
function perFrame(draw) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    const once = () => {
      if (!due) return;
      due = false;
      draw();
    };
    requestAnimationFrame(once);
    // A hidden page has no frames.
    setTimeout(once, 250);
  };
}

render(html`<${App} chat=${new Chat()} />`, document.getElementById("app"));
