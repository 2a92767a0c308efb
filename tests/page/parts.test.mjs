// What models say beside plain text: thoughts, calls, code; and what servers say when they cannot.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, rig, say, stub } from "./support.mjs";

const { page } = rig();

test("thoughts are folded, and can be unfolded", page(async (page) => {
  const asked = await stub(page, [{ reasoning_content: "Let me " }, { reasoning_content: "*think*." }, { content: "Done." }]);
  await say(page, "?");
  const answer = await answered(page);
  const thoughts = answer.locator("details.reasoning");
  assert.equal(await thoughts.locator(".prose").isVisible(), false);
  await thoughts.locator("summary").click();
  assert.equal(await thoughts.locator(".prose em").textContent(), "think");
  assert.equal(await answer.locator("> .prose").innerText(), "Done.");
  await say(page, "And now?");
  await page.locator(".answer").nth(1).locator(".actions").waitFor();
  assert.equal(asked[1].messages[1].reasoning_content, "Let me *think*.");
}));

test("calls are shown, and their results sent", page(async (page) => {
  const call = (index, id, name) => ({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] });
  const piece = (index, text) => ({ tool_calls: [{ index, function: { arguments: text } }] });
  const asked = await stub(page, [call(0, "c0", "tide"), piece(0, '{"port":'), piece(0, '"Brest"}'), call(1, "c1", "now"), piece(1, "{}")], "tool_calls");
  await say(page, "When is high tide?");
  const answer = await answered(page);
  assert.deepEqual(await answer.locator(".call h3 code").allTextContents(), ["tide", "now"]);
  assert.equal(await answer.locator(".call pre").first().textContent(), '{\n  "port": "Brest"\n}');
  await answer.getByLabel("Result").first().fill("17:40");
  await answer.getByLabel("Result").nth(1).fill("12:00");
  await page.unroute("**/v1/chat/completions");
  const again = await stub(page, [{ content: "At 17:40." }]);
  await answer.getByRole("button", { name: "Send results" }).click();
  await page.locator(".answer").nth(1).locator(".actions").waitFor();
  assert.equal(asked.length, 1);
  assert.deepEqual(again[0].messages.slice(1), [
    {
      role: "assistant", content: "",
      tool_calls: [
        { id: "c0", type: "function", function: { name: "tide", arguments: '{"port":"Brest"}' } },
        { id: "c1", type: "function", function: { name: "now", arguments: "{}" } },
      ],
    },
    { role: "tool", content: "17:40", tool_call_id: "c0" },
    { role: "tool", content: "12:00", tool_call_id: "c1" },
  ]);
  assert.deepEqual(await page.locator(".call .result").allTextContents(), ["17:40", "12:00"]);
}));

test("markdown becomes elements, code is coloured and can be copied", page(async (page) => {
  const text = "# Title\n\nA **bold** [link](https://example.org/).\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n\n```rust\nfn main() { let x = 1; }\n```\n";
  await stub(page, text.match(/.{1,7}/gs).map((content) => ({ content })));
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await say(page, "?");
  const answer = await answered(page);
  for (const selector of ["h3", "strong", "td", "li", ".hljs-keyword"]) assert.ok(await answer.locator(selector).count(), selector);
  const link = answer.locator("a");
  assert.deepEqual([await link.getAttribute("target"), await link.getAttribute("rel")], ["_blank", "noopener noreferrer nofollow"]);
  await answer.getByRole("button", { name: "Copy code" }).click();
  await answer.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "fn main() { let x = 1; }");
}));

test("an answer that fails says why, and can be asked for again", page(async (page) => {
  const failure = { error: { message: "the drive is gone", type: "server_error" } };
  await page.route("**/v1/chat/completions", (route) => route.fulfill({
    contentType: "text/event-stream",
    body: `data: {"choices":[{"index":0,"delta":{"content":"Once"}}]}\n\ndata: ${JSON.stringify(failure)}\n\ndata: [DONE]\n\n`,
  }));
  await say(page, "?");
  const answer = await answered(page);
  assert.equal(await answer.getByRole("alert").textContent(), "the drive is gone");
  assert.equal(await answer.locator(".prose").innerText(), "Once");
  await page.unroute("**/v1/chat/completions");
  await stub(page, [{ content: "Again." }]);
  await answer.getByRole("button", { name: "Retry" }).click();
  await page.getByText("Again.").waitFor();
}));

test("while a prompt is read, one sees how far and for how long", page(async (page) => {
  const view = await (await page.request.get("/api/status")).json();
  view.answers = [{ id: 1, prompt_tokens: 2048, cached_tokens: 0, prompt_done: 512, prompt_seconds_left: 38.2, tokens: 0, seconds: 1 }];
  view.waiting = 2;
  await page.addInitScript((view) => {
    const events = new ReadableStream({
      start: (events) => events.enqueue(new TextEncoder().encode(`event: status\ndata: ${view}\n\n`)),
    });
    const { fetch } = window;
    window.fetch = (path, options) => (path === "/api/events" ? Promise.resolve(new Response(events)) : fetch(path, options));
  }, JSON.stringify(view));
  let go;
  const gone = new Promise((done) => (go = done));
  await page.route("**/v1/chat/completions", async (route) => {
    await gone;
    await route.fulfill({ contentType: "text/event-stream", body: "data: [DONE]\n\n" });
  });
  await page.reload();
  await say(page, "A long question");
  await page.locator(".answer .waiting").getByText("Reading the prompt: 512 of 2,048 tokens · 38 s left").waitFor();
  assert.equal(await page.locator(".answer progress").getAttribute("max"), "2048");
  await page.locator(".machine").getByText("2 more questions waiting").waitFor();
  go();
  await answered(page);
}));
