// The few pictures there are, drawn in the colour of the text around them.

import { html } from "./vendor/preact.js";

const PATHS = {
  list: "M4 6h16M4 12h16M4 18h10",
  new: "M12 5v14M5 12h14",
  gear: "M4 7h10M18 7h2M4 17h2M10 17h10M14 4.5v5M6 14.5v5",
  machine: "M4 18v-5M9.3 18V9M14.6 18v-7M20 18V5",
  theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  close: "M6 6l12 12M18 6L6 18",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
