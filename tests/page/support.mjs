// A server of the demo model, a browser, and a page that is watched for whatever a page should not do.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const TIDEMILL = process.env.TIDEMILL ?? fileURLToPath(new URL("../../target/debug/tidemill", import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

export async function serve(...flags) {
  const folder = await mkdtemp(join(tmpdir(), "tidemill-page-"));
  const args = ["serve", "demo", "--port", "0", "--memory", "300MiB", "--threads", "1", "--prompts-dir", folder, ...flags];
  const server = spawn(TIDEMILL, args, { stdio: ["ignore", "ignore", "pipe"] });
  const address = await new Promise((found, failed) => {
    let said = "";
    server.on("error", failed);
    server.on("exit", (code) => failed(new Error(`the server ended with ${code}: ${said}`)));
    server.stderr.on("data", (text) => {
      said += text;
      const address = said.match(/http:\/\/[\d.]+:\d+/)?.[0];
      if (address) found(address);
    });
  });
  const end = async () => {
    server.removeAllListeners("exit");
    const ended = new Promise((done) => server.on("exit", done));
    server.kill("SIGTERM");
    server.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  return { address, end };
}

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

/** A server and a browser for the tests of a file. */
export function rig(...flags) {
  const rig = {};
  before(async () => {
    rig.server = await serve(...flags);
    rig.browser = await launch();
  });
  after(async () => {
    await rig.browser?.close();
    await rig.server?.end();
  });
  /** Runs `test` with a page of its own, and with what `localStorage` is to hold. */
  rig.page = (test, { kept = {}, forgiven = /^$/, ...options } = {}) => async () => {
    const { address } = rig.server;
    const localStorage = Object.entries(kept).map(([name, value]) => ({ name, value: JSON.stringify(value) }));
    const storageState = { cookies: [], origins: [{ origin: address, localStorage }] };
    const context = await rig.browser.newContext({ viewport: { width: 1280, height: 800 }, baseURL: address, storageState, ...options });
    const page = await context.newPage();
    const wrong = [];
    page.on("console", (said) => said.type() === "debug" || said.type() === "log" || wrong.push(`${said.type()}: ${said.text()}`));
    page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
    context.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(`${address}/`) && !url.startsWith(`blob:${address}/`)) wrong.push(`a request to ${url}`);
    });
    try {
      await page.goto(address);
      await page.locator("#say").waitFor();
      await test(page);
      assert.deepEqual(wrong.filter((what) => !forgiven.test(what)), []);
    } finally {
      await context.close();
    }
  };
  return rig;
}

/** Settings that give short answers, the same each time. */
export const BRIEF = { "tidemill.settings": { temperature: "0", maxTokens: "24" } };

export async function say(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** The last answer, once it is complete. */
export async function answered(page) {
  const answer = page.locator(".answer").last();
  await answer.locator(".actions").waitFor();
  return answer;
}

/** Answers the next questions with `deltas` instead of the model. */
export async function stub(page, deltas, finish = "stop") {
  const chunk = (delta, finish_reason = null) => `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
  const body = `: keep-alive\n\n${deltas.map((delta) => chunk(delta)).join("")}${chunk({}, finish)}data: [DONE]\n\n`;
  const asked = [];
  await page.route("**/v1/chat/completions", (route) => {
    asked.push(route.request().postDataJSON());
    return route.fulfill({ contentType: "text/event-stream", body });
  });
  return asked;
}
