// Pictures for the documentation: the demo model in light colours and on a telephone, a conversation with all kinds of
// parts in dark ones. `node shots.mjs FOLDER`

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { answered, launch, say, serve, stub } from "./support.mjs";

const folder = process.argv[2] ?? "../../docs/page";
await mkdir(folder, { recursive: true });
const [server, browser] = [await serve("--seed", "7"), await launch()];

async function shot(name, options, act) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, baseURL: server.address, ...options });
  const page = await context.newPage();
  await page.goto("/");
  await page.locator(".pulse").getByText("ready").waitFor();
  await act(page);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await context.close();
}

await shot("light", {}, async (page) => {
  await say(page, "Tell me a story about a boat.");
  await page.waitForFunction(() => document.querySelector(".answer .prose")?.textContent.length > 420);
});

await shot("phone", { viewport: { width: 375, height: 740 } }, async (page) => {
  await say(page, "Tell me a story about the sea.");
  await answered(page);
});

const CODE = `Slowly, then fast, then slowly again, in a little over six hours:

\`\`\`python
from math import cos, pi

def height(hours, mean=2.4, range=3.1):
    """Metres above chart datum, \`hours\` after high water."""
    return mean + range / 2 * cos(2 * pi * hours / 12.42)
\`\`\`

| after high water | height |
|---|---|
| 0 h | 3.95 m |
| 3 h | 2.48 m |
| 6 h | 0.86 m |

For today's figures I would look at the table of the port:`;

await shot("dark", { colorScheme: "dark" }, async (page) => {
  await stub(page, [
    { reasoning_content: "They want the tide as a function of time. A cosine with the period of the main lunar tide will do." },
    { content: CODE },
    { tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "tide_table", arguments: '{"port": "Brest"}' } }] },
  ], "tool_calls");
  await say(page, "How does the tide fall over time?");
  await answered(page);
  await page.locator(".scroller").evaluate((scroller) => (scroller.scrollTop = 0));
});

await browser.close();
await server.end();
