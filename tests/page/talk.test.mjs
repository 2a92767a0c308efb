// A conversation with the demo model: asking, stopping, asking again, editing, coming back.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { answered, BRIEF, rig, say } from "./support.mjs";

const { page } = rig();

test("an answer is streamed, and tells what it cost", page(async (page) => {
  await page.evaluate(() => {
    window.seen = new Set();
    const look = () => window.seen.add(document.querySelector(".answer .prose")?.textContent.length ?? 0);
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
  });
  await say(page, "Tell me a story.");
  const answer = await answered(page);
  assert.ok((await answer.locator(".prose").textContent()).length > 40);
  assert.match(await answer.locator(".actions .figures").textContent(), /cut at the token limit · 24 tokens · [\d.]+ tok\/s · first after/);
  assert.ok((await page.evaluate(() => window.seen.size)) > 3, "the text grew");
  assert.equal(await page.getByRole("status").textContent(), "Answer complete");
  assert.match(await page.title(), /^Tell me a story/);
}, { kept: BRIEF }));

test("stopping ends the answer, here and on the server", page(async (page) => {
  await say(page, "Tell me a very long story.");
  await page.locator(".answer .prose").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  const answer = await answered(page);
  assert.match(await answer.locator(".actions .figures").textContent(), /^stopped/);
  await page.waitForFunction(async () => (await (await fetch("/api/status")).json()).answers.length === 0);
  assert.ok((await answer.locator(".prose").textContent()).length > 0);
}));

test("retrying asks the same again, editing asks something else", page(async (page) => {
  await say(page, "Tell me a story about a dog.");
  const first = await (await answered(page)).locator(".prose").textContent();
  await page.getByRole("button", { name: "Retry" }).click();
  await page.locator('.answer[aria-busy="true"]').waitFor();
  assert.equal(await (await answered(page)).locator(".prose").textContent(), first);

  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Say instead").fill("Tell me a story about a boat.");
  const asked = page.waitForRequest("**/v1/chat/completions");
  await page.keyboard.press("Enter");
  assert.deepEqual((await asked).postDataJSON().messages, [{ role: "user", content: "Tell me a story about a boat." }]);
  await answered(page);
  assert.equal(await page.locator(".question").count(), 1);
  assert.equal(await page.locator(".answer").count(), 1);
}, { kept: BRIEF }));

test("a conversation survives a reload, and a file", page(async (page) => {
  await say(page, "Tell me a story about a bird.");
  const told = await (await answered(page)).locator(".prose").textContent();
  await page.reload();
  assert.equal(await page.locator(".answer .prose").textContent(), told);

  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export" }).click();
  const file = await (await saved).path();
  assert.equal(JSON.parse(await readFile(file, "utf8")).conversations.length, 1);
  const remove = page.locator(".shelves .remove");
  await remove.click();
  await page.getByRole("button", { name: /^Really delete/ }).click();
  await page.locator(".answer").waitFor({ state: "detached" });
  await page.reload();
  assert.equal(await page.locator(".shelves .title").count(), 0);
  await page.locator("input[type=file]").setInputFiles({ name: "a.json", mimeType: "application/json", buffer: await readFile(file) });
  assert.equal(await page.locator(".answer .prose").textContent(), told);
  await page.locator("input[type=file]").setInputFiles({ name: "b.json", mimeType: "application/json", buffer: Buffer.from("{}") });
  await page.locator(".shelves .fault").getByText("no conversations").waitFor();
}, { kept: BRIEF }));

test("an answer that is left by a reload is kept as far as it came", page(async (page) => {
  await say(page, "Tell me a very long story.");
  await page.locator(".answer .prose").waitFor();
  await page.reload();
  assert.match(await page.locator(".answer .figures").textContent(), /^stopped/);
  assert.ok((await page.locator(".answer .prose").textContent()).length > 0);
}));

test("settings reach the request", page(async (page) => {
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("System prompt").fill("Be brief.");
  await page.getByLabel("Temperature").fill("0.5");
  await page.getByLabel("Top-p").fill("0.8");
  await page.getByLabel("Most tokens").fill("5");
  await page.getByLabel("API key").fill("secret");
  await page.getByRole("button", { name: "Save" }).click();
  const asked = page.waitForRequest("**/v1/chat/completions");
  await say(page, "Hello!");
  const request = await asked;
  const { messages, temperature, top_p, max_tokens } = request.postDataJSON();
  assert.deepEqual([messages[0], temperature, top_p, max_tokens], [{ role: "system", content: "Be brief." }, 0.5, 0.8, 5]);
  assert.equal(request.headers().authorization, "Bearer secret");
  await answered(page);
}));

test("two conversations are kept apart, and one goes on while the other is read", page(async (page) => {
  await say(page, "Tell me a very long story.");
  await page.locator(".answer .prose").waitFor();
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.locator(".welcome").waitFor();
  assert.equal(await page.getByRole("button", { name: "Send" }).count(), 1);
  await page.locator(".shelves .title").click();
  await page.getByRole("button", { name: "Stop" }).click();
  await answered(page);
}));

test("the machine is seen at work", page(async (page) => {
  await say(page, "Tell me a story.");
  const machine = page.getByRole("complementary", { name: "Machine" });
  await machine.getByText(/^Answering: \d+ tokens? in/).waitFor();
  await machine.locator("canvas").waitFor();
  await machine.locator("canvas").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assert.match(await machine.locator("figcaption").textContent(), /^Layer \d+, expert 1: \d+ % of/);
  assert.match(await machine.getByText(/in use of/).textContent(), /MiB in use of 300 MiB/);
  await page.keyboard.press("Escape");
  await answered(page);
}));
