// What a person has chosen, kept in this browser.

const KEY = "tidemill.settings";

/** Empty numbers leave the choice to the server. */
const USUAL = { system: "", temperature: "", topP: "", maxTokens: "", thinking: "", tools: "", apiKey: "" };

let settings;

export function loadSettings() {
  if (!settings) {
    settings = { ...USUAL };
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      for (const name of Object.keys(USUAL)) {
        if (typeof kept?.[name] === "string") settings[name] = kept[name];
      }
    } catch { /* the usual ones, then */ }
  }
  return settings;
}

export function saveSettings(changed) {
  settings = { ...loadSettings(), ...changed };
  try { localStorage.setItem(KEY, JSON.stringify(settings)); } catch { /* they last until the page is left */ }
}

/** The fields of a request that the settings decide. */
export function chosenFields() {
  const { temperature, topP, maxTokens, thinking, tools } = loadSettings();
  const fields = {};
  if (temperature !== "") fields.temperature = Number(temperature);
  if (topP !== "") fields.top_p = Number(topP);
  if (maxTokens !== "") fields.max_tokens = Number(maxTokens);
  if (thinking !== "") fields.reasoning_effort = thinking;
  if (tools.trim() !== "") fields.tools = JSON.parse(tools);
  return fields;
}

/** What is wrong with a list of tools, or nothing. */
export function toolsFault(text) {
  if (text.trim() === "") return "";
  try {
    return Array.isArray(JSON.parse(text)) ? "" : "A list is expected: [ … ]";
  } catch (error) {
    return `This is no JSON: ${error.message}`;
  }
}
