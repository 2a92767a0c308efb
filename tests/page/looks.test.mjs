// Colours, widths, keys, and what those hear who do not see the page.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { answered, BRIEF, rig, say, stub } from "./support.mjs";

const { page } = rig();
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const RICH = [
  { reasoning_content: "Thinking about it." },
  { content: "# Wide things\n\n`" + "x".repeat(300) + "` https://example.org/" + "y".repeat(200) + "\n\n```python\nprint('" + "z".repeat(300) + "')\n```\n\n" },
  { content: "| " + "column | ".repeat(20) + "\n|" + "---|".repeat(20) + "\n| " + "value | ".repeat(20) + "\n" },
  { tool_calls: [{ index: 0, id: "a", type: "function", function: { name: "find", arguments: '{"what":"' + "w".repeat(200) + '"}' } }] },
];

const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const narrow = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth);

async function accessible(page, rules = {}) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate((rules) => window.axe.run(document, { resultTypes: ["violations"], rules }), rules);
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`), []);
}

test("colours follow the system until somebody chooses", page(async (page) => {
  const light = await background(page);
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background(page);
  assert.notEqual(dark, light);
  await page.emulateMedia({ colorScheme: "light" });
  await page.getByRole("button", { name: "Dark colours" }).click();
  assert.equal(await background(page), dark);
  await page.reload();
  assert.equal(await background(page), dark);
  assert.equal(await page.getByRole("button", { name: "Dark colours" }).getAttribute("aria-pressed"), "true");
}));

for (const colorScheme of ["light", "dark"]) {
  test(`the page is accessible in ${colorScheme} colours`, page(async (page) => {
    await page.locator(".tiles").waitFor();
    await accessible(page);
    await stub(page, RICH);
    await say(page, "Everything, please.");
    await answered(page);
    await page.locator("details.reasoning summary").click();
    await accessible(page);
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByText("Tools", { exact: true }).click();
    await accessible(page);
  }, { colorScheme }));
}

test("a telephone's width is enough", page(async (page) => {
  await stub(page, RICH);
  await say(page, "w".repeat(400));
  await answered(page);
  assert.ok(await narrow(page), "the conversation");
  assert.equal(await page.locator(".scroller").evaluate(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth), true);
  await accessible(page);
  for (const name of ["Conversations", "Machine"]) {
    await page.getByRole("button", { name, exact: true }).click();
    assert.ok(await narrow(page), name);
    // The panel takes the place of the conversation.
    await accessible(page, { "landmark-one-main": { enabled: false } });
    await page.getByRole("button", { name, exact: true }).click();
  }
  await page.getByRole("button", { name: "Settings" }).click();
  assert.ok(await narrow(page), "the settings");
  assert.equal(await page.locator("dialog").evaluate(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth), true);
}, { viewport: { width: 375, height: 740 } }));

test("everything can be done by keys alone", page(async (page) => {
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent.trim());
  const tabTo = async (name) => {
    for (let presses = 0; presses < 40; presses += 1) {
      if ((await focused()).startsWith(name)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`${name} is not reached; at ${await focused()}`);
  };
  await page.locator("#say:focus").waitFor();
  await page.keyboard.type("Tell me");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("a story.");
  await page.keyboard.press("Enter");
  await page.locator(".answer .prose").waitFor();
  assert.equal(await page.locator(".said").textContent(), "Tell me\na story.");
  await page.keyboard.press("Escape");
  assert.match(await (await answered(page)).locator(".figures").last().textContent(), /^stopped/);

  await tabTo("Retry");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await tabTo("Stop");
  await page.keyboard.press("Space");
  await answered(page);

  await tabTo("Edit");
  await page.keyboard.press("Enter");
  await page.locator("#edit:focus").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#edit").waitFor({ state: "detached" });

  await tabTo("Settings");
  await page.keyboard.press("Enter");
  await page.locator("dialog :focus").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  await page.locator('[aria-label="Settings"]:focus').waitFor();

  await tabTo("New conversation");
  await page.keyboard.press("Enter");
  await page.locator(".welcome").waitFor();
  await page.locator("#say:focus").waitFor();
}));

test("whoever cannot see is told when an answer comes, and its text once it is complete", page(async (page) => {
  await say(page, "Tell me a story.");
  const answer = await answered(page);
  assert.equal(await answer.getAttribute("aria-busy"), "false");
  assert.equal(await page.locator(".messages").getAttribute("aria-live"), "polite");
  assert.equal(await page.getByRole("status").textContent(), "Answer complete");
}, { kept: BRIEF }));
