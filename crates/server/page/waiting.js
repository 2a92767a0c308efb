// Between a question and the first word: how far the prompt is read, and how long it will take.

import { html, useEffect, useState } from "./vendor/preact.js";
import { count, time } from "./words.js";

export function Waiting({ message, machine }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const seconds = (performance.now() - message.began) / 1000;
  const answer = own(machine, seconds);
  if (!answer) {
    const why = machine?.waiting > 0 ? "Waiting for its turn" : "Asked";
    return html`<p class="waiting">${why} · ${time(seconds)}</p>`;
  }
  return html`<${Reading} answer=${answer} />`;
}

/** How far the prompt of `answer` is read. */
export function Reading({ answer }) {
  const { prompt_done: done, prompt_tokens: all, prompt_seconds_left: left } = answer;
  return html`<div class="waiting">
    <progress value=${done} max=${all} aria-label="Prompt read"></progress>
    <span>Reading the prompt: ${count(done)} of ${count(all)} tokens${left === undefined ? "" : ` · ${time(left)} left`}</span>
  </div>`;
}

/** Of all answers under way the one that came with the question: statuses bear no name that a client knows. They may be
 * late, so that answers look younger than they are; one that is older than the question is another's. */
function own(machine, seconds) {
  const answers = machine?.answers ?? [];
  const reading = answers.filter((answer) => answer.prompt_done < answer.prompt_tokens && answer.seconds <= seconds + 1);
  return reading.sort((a, b) => b.seconds - a.seconds)[0];
}
