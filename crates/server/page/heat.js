// Layers by experts: how much each was used of late, relative to the most used of its layer.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { heat } from "./api.js";

const BUSY_MS = 2000;
const IDLE_MS = 10_000;

export function HeatMap({ busy }) {
  const layers = useHeat(busy);
  const canvas = useRef();
  const [cell, setCell] = useState(null);
  const rows = layers.map((row, layer) => ({ layer, row })).filter(({ row }) => row.length > 0);
  const width = Math.max(0, ...rows.map(({ row }) => row.length));
  useEffect(() => paint(canvas.current, rows, width));
  if (rows.length === 0) return html`<p class="hint">No expert has been used yet.</p>`;

  const at = (x, y) => ({ x: clamp(x, width), y: clamp(y, rows.length) });
  const point = (event) => {
    const box = event.target.getBoundingClientRect();
    const part = (offset, length, cells) => Math.floor((offset / length) * cells);
    setCell(at(part(event.clientX - box.left, box.width, width), part(event.clientY - box.top, box.height, rows.length)));
  };
  const key = (event) => {
    const [x, y] = MOVES[event.key] ?? [0, 0];
    if (!x && !y) return;
    event.preventDefault();
    setCell(cell ? at(cell.x + x, cell.y + y) : at(0, 0));
  };
  const size = `${rows.length} layers with ${width} experts each`;
  return html`<figure class="heat">
    <canvas ref=${canvas} tabindex="0" role="img" aria-label=${`Use of experts: ${size}. Arrow keys read single experts.`}
      style=${{ height: `${Math.min(280, Math.max(48, rows.length * 7))}px` }}
      onPointerMove=${point} onPointerLeave=${() => setCell(null)} onKeyDown=${key} onBlur=${() => setCell(null)}></canvas>
    <figcaption aria-live="polite">${cell && rows[cell.y] ? words(rows[cell.y], cell.x) : size}</figcaption>
  </figure>`;
}

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const clamp = (value, most) => Math.min(most - 1, Math.max(0, value));
const words = ({ layer, row }, expert) =>
  `Layer ${layer}, expert ${expert}: ${Math.round((row[expert] ?? 0) * 100)} % of its layer's most used`;

/** Asked for more often while the machine works. */
function useHeat(busy) {
  const [layers, setLayers] = useState([]);
  useEffect(() => {
    const abort = new AbortController();
    const ask = () => document.hidden || heat(abort.signal).then(setLayers, () => {});
    ask();
    const timer = setInterval(ask, busy ? BUSY_MS : IDLE_MS);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [busy]);
  return layers;
}

/** One pixel an expert; the style sheet makes them larger. */
function paint(canvas, rows, width) {
  if (!canvas || !width) return;
  canvas.width = width;
  canvas.height = rows.length;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  context.fillStyle = style.getPropertyValue("--cold");
  context.fillRect(0, 0, width, rows.length);
  context.fillStyle = style.getPropertyValue("--hot");
  rows.forEach(({ row }, y) => row.forEach((heat, x) => {
    // The root lets the many lukewarm experts be told from cold ones.
    context.globalAlpha = Math.sqrt(heat);
    context.fillRect(x, y, 1, 1);
  }));
}
