// A server that asks for a key: the page is shown to anybody, and says what is missing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, BRIEF, rig, say } from "./support.mjs";

const { page } = rig("--api-key", "sesame");

test("without a key the page says that one is needed; with it everything works", page(async (page) => {
  await page.locator(".pulse").getByText("needs an API key").waitFor();
  await say(page, "Hello?");
  assert.match(await (await answered(page)).getByRole("alert").textContent(), /an API key is needed/);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("API key").fill("sesame");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".pulse").getByText("ready").waitFor();
  await page.getByRole("button", { name: "Retry" }).click();
  await page.locator(".answer .prose").waitFor();
  await answered(page);
  await page.locator("canvas").waitFor();
}, { kept: BRIEF, forgiven: /401 \(Unauthorized\)/ }));
