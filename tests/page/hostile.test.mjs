// Words of a model, of a file, of a person: they stay words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, rig, say, stub } from "./support.mjs";

const { page } = rig();

const HOSTILE = [
  "<script>window.hit = 1</script>",
  "<img src=x onerror='window.hit = 2'>",
  "<svg onload='window.hit = 3'><script>window.hit = 3</script></svg>",
  "<iframe srcdoc='<script>parent.hit = 4</script>'></iframe>",
  "<style>body { display: none }</style>",
  "<a href='javascript:window.hit = 5'>press</a> <form action='https://evil.example'><input name=key><button>go</button></form>",
  "[press](javascript:window.hit=6) [data](data:text/html,<script>window.hit=7</script>) [odd](JaVaScRiPt:window.hit=8)",
  "![seen](https://evil.example/leak?what=1) ![](javascript:window.hit=9)",
  "```\"><img src=x onerror=window.hit=10>\n</code></pre><script>window.hit = 11</script>\n```",
  "- item\n\n  ```html\n  <img src=x onerror=window.hit=12>\n  ```",
  "<math><mtext></form><form><mglyph><style></math><img src onerror=window.hit=13>",
  "| <img src=x onerror=window.hit=14> | b |\n|---|---|\n| 1 | <b onmouseover=window.hit=15>2</b> |",
  '[t](https://example.org "\\" onmouseover=window.hit=16 x=\\"")',
  "<https://evil.example/&quot;onmouseover=window.hit=17>",
].join("\n\n");

async function inert(page) {
  for (const link of await page.locator(".messages a").all()) {
    assert.match((await link.getAttribute("href")) ?? "https://none", /^(https?|mailto):/);
  }
  const found = await page.evaluate(() => {
    const foreign = document.querySelectorAll("#app :is(script, img, iframe, object, embed, style, math, .prose form, .prose input, .prose button:not(.code button))");
    const armed = [...document.querySelectorAll("#app *")].filter((element) => [...element.attributes].some(({ name }) => name.startsWith("on") || name === "style" && element.closest(".prose")));
    return { hit: window.hit, foreign: foreign.length, armed: armed.length, hidden: getComputedStyle(document.body).display };
  });
  assert.deepEqual(found, { hit: undefined, foreign: 0, armed: 0, hidden: "block" });
}

test("what a model writes stays inert, in answers, thoughts and calls", page(async (page) => {
  const hostile = "<img src=x onerror='window.hit = 20'>";
  await stub(page, [
    { reasoning_content: HOSTILE },
    ...HOSTILE.match(/.{1,5}/gs).map((content) => ({ content })),
    { tool_calls: [{ index: 0, id: hostile, type: "function", function: { name: hostile, arguments: hostile } }] },
  ]);
  await say(page, `${hostile} ${HOSTILE}`);
  const answer = await answered(page);
  await answer.locator("summary").click();
  await inert(page);
  assert.match(await answer.locator("> .prose").textContent(), /<script>window\.hit = 1<\/script>/);
  // Links that lead nowhere are pressed all the same.
  for (const word of ["press", "odd"]) await answer.getByText(word, { exact: true }).first().click();
  await page.mouse.wheel(0, 5000);
  await page.reload();
  await inert(page);
}));

test("a file of conversations brings in nothing else", page(async (page) => {
  const hostile = "<img src=x onerror='window.hit = 30'>";
  const figures = { tokens: hostile, first: 1, last: 2, __proto__: null };
  const messages = [
    { role: "system", content: "not shown" },
    { role: "user", content: { toString: "no" } },
    { role: "assistant", content: HOSTILE, calls: [null, { name: 7, arguments: hostile }], state: hostile, figures, fault: hostile },
    { role: "tool", callId: 3, content: [hostile] },
    null,
  ];
  const file = { format: "tidemill-conversations", version: 1, conversations: [{ id: "../x", title: hostile, changed: "x", messages }] };
  await page.locator("input[type=file]").setInputFiles({ name: "a.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify(file)) });
  await page.locator(".answer").waitFor();
  await inert(page);
  await page.reload();
  assert.equal(await page.locator(".answer").count(), 1);
  await inert(page);
}));

test("what localStorage holds cannot break the page", page(async (page) => {
  assert.equal(await page.locator(".shelves .title").count(), 0);
  await page.getByRole("button", { name: "Settings" }).click();
  assert.equal(await page.getByLabel("Temperature").inputValue(), "");
}, { kept: { "tidemill.conversation.a": { messages: 7 }, "tidemill.conversation.b": null, "tidemill.settings": { temperature: { a: 1 } }, "tidemill.theme": 9 } }));

test("foreign scripts, and markup or code from strings, are forbidden by the browser itself", page(async (page) => {
  const refused = await page.evaluate(() => {
    const script = document.createElement("script");
    const attempts = [
      () => (document.body.innerHTML = "<p>x</p>"),
      () => (script.src = "https://evil.example/x.js"),
      () => (script.textContent = "window.hit = 40"),
    ];
    return attempts.filter((attempt) => {
      try { attempt(); return false; } catch { return true; }
    }).length;
  });
  assert.equal(refused, 3);
}, { forgiven: /Trusted(HTML|Script|ScriptURL)/ }));
