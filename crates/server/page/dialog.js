// The settings.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { loadSettings, saveSettings, toolsFault } from "./settings.js";

const THEMES = { system: "As the system", light: "Light", dark: "Dark" };
const THINKING = { "": "As the model does", none: "Off", low: "Low effort", medium: "Medium effort", high: "High effort" };

export function Settings({ close }) {
  const ref = useRef();
  const [settings, setSettings] = useState(loadSettings());
  const [theme, setTheme] = useState(window.tidemillTheme.chosen());
  useEffect(() => ref.current.showModal(), []);
  const set = (name) => (event) => setSettings({ ...settings, [name]: event.target.value });
  const fault = toolsFault(settings.tools);
  const submit = (event) => {
    event.preventDefault();
    if (fault) return;
    saveSettings(settings);
    window.tidemillTheme.choose(theme);
    ref.current.close();
  };
  const number = (name, label, limits) => html`<label>${label}
    <input type="number" inputmode="decimal" ...${limits} placeholder="usual" value=${settings[name]} onInput=${set(name)} /></label>`;
  return html`<dialog ref=${ref} class="settings" aria-labelledby="settings-title" onClose=${close}>
    <form onSubmit=${submit}>
      <h2 id="settings-title">Settings</h2>
      <label>System prompt<textarea rows="3" value=${settings.system} onInput=${set("system")}></textarea></label>
      <div class="columns">
        ${number("temperature", "Temperature", { min: 0, max: 2, step: 0.05 })}
        ${number("topP", "Top-p", { min: 0.01, max: 1, step: 0.01 })}
        ${number("maxTokens", "Most tokens", { min: 1, step: 1 })}
      </div>
      <div class="columns">
        <label>Thinking<${Choice} options=${THINKING} value=${settings.thinking} onChange=${set("thinking")} /></label>
        <label>Colours<${Choice} options=${THEMES} value=${theme} onChange=${(event) => setTheme(event.target.value)} /></label>
      </div>
      <label>API key
        <input type="password" autocomplete="off" value=${settings.apiKey} onInput=${set("apiKey")} aria-describedby="key-hint" /></label>
      <p id="key-hint" class="hint">Only if the server asks for one. Settings stay in this browser.</p>
      <details open=${settings.tools !== ""}>
        <summary>Tools</summary>
        <label>Functions the model may call, as JSON of OpenAI's <code>tools</code>
          <textarea rows="5" class="mono" spellcheck="false" value=${settings.tools} onInput=${set("tools")} aria-invalid=${fault !== ""}
            aria-describedby="tools-fault"></textarea></label>
        <p id="tools-fault" class="fault">${fault}</p>
      </details>
      <div class="row">
        <button type="button" class="plain" onClick=${() => ref.current.close()}>Cancel</button>
        <button type="submit" class="main">Save</button>
      </div>
    </form>
  </dialog>`;
}

function Choice({ options, value, onChange }) {
  return html`<select value=${value} onChange=${onChange}>
    ${Object.entries(options).map(([name, words]) => html`<option value=${name}>${words}</option>`)}
  </select>`;
}
