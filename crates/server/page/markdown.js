// A model's words as elements. They are foreign: HTML among them is shown as it was written, pictures become links, and
// what comes out is cleaned before it is let into the page.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { Marked } from "./vendor/marked.js";
import "./vendor/purify.js";
import highlight from "./vendor/highlight.js";
import { copy } from "./copy.js";

const PURIFY = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "class", "start", "align"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  RETURN_DOM_FRAGMENT: true,
};

const purifier = globalThis.DOMPurify;
purifier.addHook("afterSanitizeAttributes", (element) => {
  if (element.hasAttribute("href")) {
    element.setAttribute("target", "_blank");
    element.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

const escape = (text) => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

const marked = new Marked({
  gfm: true,
  renderer: {
    // Below the headings of the page itself.
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + 2);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    html: ({ text, block }) => (block ? `<p>${escape(text)}</p>` : escape(text)),
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    code: ({ text, lang }) => `<pre><code>${coloured(text, lang)}</code></pre>`,
  },
});

/** Beyond this, colours cost more time than they are worth. */
const COLOURED_MOST = 50_000;

function coloured(text, lang) {
  const language = lang?.match(/^[\w#+-]+/)?.[0];
  if (!language || !highlight.getLanguage(language) || text.length > COLOURED_MOST) return escape(text);
  return highlight.highlight(text, { language, ignoreIllegals: true }).value;
}

/** Markdown, block by block: one that stays the same while the text grows is left alone, selection and all. */
export function Markdown({ text }) {
  const blocks = useMemo(() => marked.lexer(text).filter(({ type }) => type !== "space"), [text]);
  return html`<div class="prose">
    ${blocks.map((block, at) => block.type === "code"
      ? html`<${Code} key=${at} text=${block.text} lang=${block.lang ?? ""} />`
      : html`<${Block} key=${at} block=${block} />`)}
  </div>`;
}

function Block({ block }) {
  const ref = useRef();
  useLayoutEffect(() => fill(ref.current, marked.parser([block])), [block.raw]);
  return html`<div ref=${ref}></div>`;
}

function Code({ text, lang }) {
  const ref = useRef();
  const [copied, setCopied] = useState(false);
  useLayoutEffect(() => fill(ref.current, coloured(text, lang)), [text, lang]);
  useEffect(() => {
    const timer = copied && setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  const press = async () => setCopied(await copy(text));
  return html`<figure class="code">
    <figcaption><span>${lang || "text"}</span>
      <button type="button" class="quiet" onClick=${press}>${copied ? "Copied" : "Copy"}<span class="unseen"> code</span></button>
    </figcaption>
    <pre tabindex="0" aria-label=${`Code, ${lang || "text"}`}><code ref=${ref}></code></pre>
  </figure>`;
}

function fill(element, markup) {
  const clean = purifier.sanitize(markup, PURIFY);
  for (const table of clean.querySelectorAll("table")) {
    const wide = document.createElement("div");
    wide.className = "wide";
    table.replaceWith(wide);
    wide.append(table);
  }
  // What scrolls sideways can be reached by keys.
  clean.querySelectorAll(".wide, pre").forEach((wide) => (wide.tabIndex = 0));
  element.replaceChildren(clean);
}
