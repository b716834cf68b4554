// node screens.mjs PUPPETEER CHROMIUM URL PAGE PICTURE: does on a page what a person does; its last line of output is what it saw.
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, executablePath, url, name, picture] = process.argv.slice(2);
const { default: puppeteer } = await import(createRequire(join(folder, "from-here.js")).resolve("puppeteer-core"));

const browser = await puppeteer.launch({
  executablePath,
  headless: true,
  // The pages are our own; Chromium's sandbox does not run as root, nor in most containers.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb"],
});
const page = await browser.newPage();
page.setDefaultTimeout(30_000);
await page.setViewport({ width: 1000, height: 900 });
const saw = { elsewhere: [], problems: [] };
// A failure that a visit makes itself, and that Chromium notes.
let expected = /(?!)/;
const requests = [];
page.on("request", (request) => {
  requests.push(`${request.method()} ${request.url()}`);
  if (!request.url().startsWith(url) && !request.url().startsWith("data:")) saw.elsewhere.push(request.url());
});
page.on("pageerror", (error) => saw.problems.push(String(error)));
page.on("console", (message) => { if (message.type() === "error" && !expected.test(message.text())) saw.problems.push(message.text()); });
const text = (selector) => page.$eval(selector, (element) => element.textContent);

const visits = {
  async docs() {
    await page.goto(`${url}/docs`);
    await page.waitForSelector("#operations-AuthService-GetJwks");
    saw.operations = (await page.$$(".opblock")).length;
    await page.screenshot({ path: picture });
    await page.click("#operations-AuthService-GetJwks .opblock-summary-control");
    await page.waitForSelector("#operations-AuthService-GetJwks .try-out__btn");
    await page.click("#operations-AuthService-GetJwks .try-out__btn");
    await page.waitForSelector("#operations-AuthService-GetJwks .execute");
    await page.click("#operations-AuthService-GetJwks .execute");
    const status = "#operations-AuthService-GetJwks .live-responses-table .response-col_status";
    await page.waitForFunction((selector) => /\d{3}/.test(document.querySelector(`${selector}:not(.col_header)`)?.textContent),
      {}, `${status}`);
    saw.tried = (await page.$$eval(status, (cells) => cells.map((cell) => cell.textContent).join(" "))).match(/\d{3}/)[0];
  },

  async try() {
    await page.goto(`${url}/try`);
    await page.waitForSelector("#account:not([hidden])");
    await page.type("#email", `try-${Date.now()}@example.com`);
    await page.type("#name", "Ada");
    await page.type("#password", "correct horse battery");
    await page.click("#sign-up");
    await page.waitForSelector("#ticket:not([hidden])");
    await page.type("#title", "The printer is on fire");
    // The simulator's word for a model that takes its time.
    await page.type("#description", "It burns, and it will not print. [sim:slow]");
    await page.click("#open");
    await page.waitForFunction(() => document.getElementById("answer-text").textContent.length > 40);
    await page.screenshot({ path: picture });
    saw.before = await text("#answer-text");
    await page.reload();
    await page.waitForFunction((had) => document.getElementById("answer-text").textContent.length > had + 20, {}, saw.before.length);
    await page.waitForFunction(() => document.getElementById("answer").hidden, { timeout: 60_000 });
    saw.after = await text("#answer-text");
    await page.waitForSelector("#messages li.desk");
    saw.posted = await text("#messages li:last-child p");
    const of = (method, part) => requests.filter((request) => request.startsWith(method) && request.includes(part));
    saw.asked = of("POST", "/replies:stream").length;
    saw.attached = of("GET", ":attach?");

    // A message while an answer is written: that one is put away, and the newest is answered.
    const say = async (body, how) => {
      await page.type("#body", `${body} ${how}`);
      await page.click("#send");
      // The simulator quotes what it answers.
      await page.waitForFunction((said) => document.getElementById("answer-text").textContent.includes(said), {}, body);
    };
    await say("And the scanner?", "[sim:slow]");
    await say("No, the fan.", "[sim:slow token_ms=20]");
    await page.waitForFunction(() => document.querySelector("#messages li:last-child.desk"), { timeout: 60_000 });
    saw.answers = (await page.$$("#messages li.desk")).length;
    saw.newest = await text("#messages li:last-child p");

    // A reload while the service is away: what there was is not lost.
    let refusals = 0;
    await page.setRequestInterception(true);
    page.on("request", (request) => {
      if (refusals < 2 && request.method() === "GET" && request.url().includes("/v1/tickets/")) {
        refusals += 1;
        request.respond({ status: 503, contentType: "application/json", body: JSON.stringify({ code: 14, message: "Away.", details: [] }) });
      } else request.continue();
    });
    expected = /status of 503/;
    await page.reload();
    await page.waitForFunction(() => document.getElementById("problem").textContent === "Away.");
    await page.waitForFunction(() => document.getElementById("problem").hidden);
    saw.refusals = refusals;
    saw.kept = await text("#messages li:last-child p");
  },
};

try {
  await visits[name]();
} catch (error) {
  saw.problems.push(String(error));
  await page.screenshot({ path: picture });
}
await browser.close();
console.log(JSON.stringify(saw));
