// How the machine is, live: what it answers, how fast, where its memory goes, which experts are warm.

import { html, useEffect, useState } from "./vendor/preact.js";
import { status } from "./api.js";
import { HeatMap } from "./heat.js";
import { Icon } from "./icons.js";
import { Reading } from "./waiting.js";
import { bytes, count, percent, plural, rate, time } from "./words.js";

const AGAIN_MS = 2000;

/** The last status heard, and what is wrong if there is none, in a word and in a sentence. Nobody listens while the page is hidden: browsers allow few
 * connections to one server. */
export function useMachine(settings) {
  const [heard, setHeard] = useState({ machine: null, wrong: null, fault: null });
  useEffect(() => {
    let abort;
    let again;
    const listen = async () => {
      clearTimeout(again);
      abort?.abort();
      if (document.hidden) return;
      const mine = (abort = new AbortController());
      let heard = { machine: null, wrong: "not reached", fault: "The server cannot be reached." };
      try {
        for await (const machine of status(mine.signal)) setHeard({ machine, wrong: null, fault: null });
      } catch (error) {
        if (error.status) heard = { machine: null, wrong: "refused", fault: `${error.message}.` };
        if (error.status === 401) heard.wrong = "needs an API key";
      }
      if (mine.signal.aborted) return;
      setHeard(heard);
      // Who has no key has none in two seconds either.
      if (heard.wrong !== "needs an API key") again = setTimeout(listen, AGAIN_MS);
    };
    listen();
    document.addEventListener("visibilitychange", listen);
    return () => {
      document.removeEventListener("visibilitychange", listen);
      clearTimeout(again);
      abort?.abort();
    };
  }, [settings]);
  return heard;
}

export function Machine({ machine, fault, close }) {
  return html`<aside class="machine" id="machine" aria-labelledby="machine-title">
    <header><h2 id="machine-title">Machine</h2>
      <button type="button" class="quiet" aria-label="Close the view of the machine" onClick=${close}><${Icon} name="close" /></button>
    </header>
    ${machine ? html`<${Figures} machine=${machine} />` : html`<p class="hint">${fault ?? "…"}</p>`}
  </aside>`;
}

function Figures({ machine }) {
  const { rates, totals, prefixes, memory } = machine;
  return html`
    <${Answers} machine=${machine} />
    <dl class="tiles">
      <${Tile} name="Answers" value=${rate(rates.decode_tokens_per_second)} unit="tok/s" />
      <${Tile} name="Prompts" value=${rate(rates.prefill_tokens_per_second)} unit="tok/s" />
      <${Tile} name="Experts found in memory" value=${percent(rates.hit_rate)} />
      <${Tile} name="Read from the drive" value=${bytes(rates.drive_bytes_per_second)} unit="/s" />
    </dl>
    <${Memory} memory=${memory} />
    <section><h3>Experts</h3><${HeatMap} busy=${machine.answers.length > 0} /></section>
    <dl class="lines">
      <${Line} name="Time waiting for the drive" value=${percent(rates.wait_share)} />
      <${Line} name="Context free" value=${`${count(memory.context_free_tokens)} of ${count(memory.context_tokens)}`} />
      <${Line} name="Tokens written" value=${count(totals.tokens)} />
      <${Line} name="Prompt tokens not read again" value=${count(prefixes.tokens)} />
      <${Line} name="Up for" value=${time(machine.uptime_seconds)} />
    </dl>`;
}

function Tile({ name, value, unit }) {
  return html`<div><dt>${name}</dt><dd>${value}${unit && html` <small>${unit}</small>`}</dd></div>`;
}

function Line({ name, value }) {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

function Answers({ machine }) {
  const { answers, waiting } = machine;
  return html`<section><h3>Now</h3>
    ${answers.length === 0 && html`<p class="hint">Nothing to do.</p>`}
    <ul class="answers">${answers.map((answer) => html`<li key=${answer.id}>
      ${answer.prompt_done < answer.prompt_tokens
        ? html`<${Reading} answer=${answer} />`
        : html`<span>Answering: ${plural(answer.tokens, "token")} in ${time(answer.seconds)}</span>`}
    </li>`)}</ul>
    ${waiting > 0 && html`<p class="hint">${plural(waiting, "more question")} waiting</p>`}
  </section>`;
}

function Memory({ memory }) {
  const { budget_bytes: budget, resident_bytes: resident, pool_bytes: pool, pool_resident_bytes: used } = memory;
  const parts = [
    ["trunk", "Trunk", memory.trunk_bytes],
    ["kv", "Context", memory.kv_bytes],
    ["pool", "Experts", used],
    ["spare", "Room for experts", Math.max(0, pool - used)],
  ];
  const words = parts.map(([, name, size]) => `${name} ${bytes(size)}`).join(", ");
  const now = resident === undefined ? "" : `${bytes(resident)} in use of `;
  return html`<section><h3>Memory</h3>
    <p class="figures">${now}${bytes(budget)}</p>
    <div class="stack" role="img" aria-label=${words}>
      ${parts.map(([kind, , size]) => html`<span key=${kind} class=${kind} style=${{ flexGrow: size / budget }}></span>`)}
      <span style=${{ flexGrow: Math.max(0, 1 - parts.reduce((sum, part) => sum + part[2], 0) / budget) }}></span>
    </div>
    <ul class="legend">${parts.map(([kind, name, size]) => html`<li key=${kind}><i class=${kind}></i>${name} <span>${bytes(size)}</span></li>`)}</ul>
  </section>`;
}
