// What a reader does with a report, in one start of Chromium. Arguments: the page of a run, that of a run whose nodes have
// places, and the first one with a script of somebody else's in it. With SHOTS=DIR pictures are left there.

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

const { launch } = require("../../../tests/chromium.cjs");

const [run, walk, injected] = process.argv.slice(2);

const PATIENCE_MS = 120_000; // after so long a test that fails ends

const messages = [];

async function open(browser, file, { script = true } = {}) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("console", message => messages.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", error => messages.push(String(error.stack)));
  page.on("request", request => {
    if (!/^(file|data|blob):/.test(request.url())) messages.push(`asks for ${request.url()}`);
  });
  await page.setJavaScriptEnabled(script);
  await page.setViewport({ width: 1000, height: 900 });
  await page.goto(pathToFileURL(file).href);
  return page;
}

async function shot(page, name, selector) {
  if (!process.env.SHOTS) return;
  const target = selector ? await page.$(selector) : page;
  await target.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });
}

const text = (page, selector) => page.$eval(selector, element => element.textContent);

// What two frames have drawn is there.
const drawn = page => page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));

// The values that stand below a figure: a head, and rows of cells.
async function table(page, figure) {
  const csv = await text(page, `#fig-${figure} .values pre`);
  const [heads, ...rows] = csv.trim().split("\n").map(line => line.split(","));
  return { csv, heads, rows };
}

const tip = page_ => figure => page_.$eval(`#fig-${figure} .tip`, one => (one.hidden ? null : [...one.children].map(line => line.textContent)));

// Where a value of the axis to the right is on the screen, in the middle of the figure upwards.
async function placeOf(page, figure, value) {
  const chart = await page.$(`#fig-${figure} .chart`);
  await chart.scrollIntoView();
  return page.$eval(`#fig-${figure} svg.wide`, (svg, value) => {
    const [start, end, min, max] = svg.dataset.x.split(" ").map(Number);
    const [y0, y1] = svg.dataset.y.split(" ").map(Number);
    const box = svg.getBoundingClientRect();
    const per = box.width / svg.viewBox.baseVal.width;
    return { x: box.left + (start + ((value - min) / (max - min)) * (end - start)) * per, y: box.top + ((y0 + y1) / 2) * per };
  }, value);
}

async function hover(page, figure, value) {
  const { x, y } = await placeOf(page, figure, value);
  await page.mouse.move(x, y);
  await drawn(page);
}

// The place of the cursor of a figure on its axis, as a value of it; null if it has none.
const cursor = (page, figure) => page.$eval(`#fig-${figure} svg.wide`, svg => {
  const line = svg.querySelector("g.cursor path");
  if (!line) return null;
  const [start, end, min, max] = svg.dataset.x.split(" ").map(Number);
  return min + ((Number(line.getAttribute("d").match(/^M([\d.]+)/)[1]) - start) / (end - start)) * (max - min);
});

// The value under the pointer is that of the table.
async function readsValues(page) {
  const { rows } = await table(page, "rtt-flow-1");
  const row = rows[20];
  await hover(page, "rtt-flow-1", Number(row[0]));
  const [head, ...lines] = await tip(page)("rtt-flow-1");
  assert.match(head, /^at \d+\.\d+ s$/);
  const told = lines.find(line => line.startsWith("sent once: "));
  const [, value, at] = told.match(/^sent once: ([\d.]+) ms at ([\d.]+) s$/);
  assert.ok(rows.some(([x, once]) => x === at && once === value), told);
  // It is the nearest one: a pixel is many milliseconds here.
  const cursorAt = Number(head.match(/[\d.]+/)[0]);
  const distances = rows.filter(([, once]) => once !== "").map(([x]) => Math.abs(Number(x) - cursorAt));
  assert.ok(Math.abs(Number(at) - cursorAt) <= Math.min(...distances) + 0.05, `${at} ${cursorAt}`);
  await shot(page, "hover", "#fig-rtt-flow-1");
}

// Figures over the scenario's time, in seconds or in milliseconds since a handover, show the same instant.
async function linksCursors(page) {
  await hover(page, "message-ids-flow-1", 0.06);
  const seconds = await cursor(page, "message-ids-flow-1");
  const pixel = 30 / 700;
  assert.ok(Math.abs(seconds - 0.06) < pixel, String(seconds));
  assert.ok(Math.abs((await cursor(page, "rtt-flow-1")) - seconds) < pixel);
  assert.ok(Math.abs((await cursor(page, "signal-sensor")) - seconds) < pixel);
  // By the keyboard it is exact: 11 ms after the last response, at 41 ms, the link is left.
  await page.focus("#fig-handover-1 .chart");
  await page.keyboard.press("Home");
  assert.deepStrictEqual((await tip(page)("handover-1")).slice(0, 2), ["at 11 ms", "link: 5 ms (11 to 16)"]);
  assert.strictEqual(await page.evaluate(() => instant.at), 0.052);
  const rtt = await tip(page)("rtt-flow-1");
  assert.match(rtt[0], /^at 0\.05\d* s$/);
  assert.strictEqual(await page.$eval("#frames tr[aria-current=true] .time", button => Number(button.textContent) <= 0.052), true);
  await shot(page, "linked", "#fig-handover-1");
}

async function isReadByKeyboardAlone(page) {
  await page.evaluate(() => document.activeElement.blur());
  const { rows } = await table(page, "message-ids-flow-1");
  await page.focus("#fig-message-ids-flow-1 .chart");
  assert.notStrictEqual(await page.$eval("#fig-message-ids-flow-1 .chart", box => getComputedStyle(box).outlineStyle), "none");
  await page.keyboard.press("Escape");
  const said = () => text(page, "[aria-live=polite]");
  for (const row of rows.slice(0, 3)) {
    await page.keyboard.press("ArrowRight");
    assert.ok((await said()).startsWith(`at ${row[0]} s; `), `${await said()} ${row}`);
    const value = row[1] || row[2] || row[4];
    assert.ok((await said()).includes(`: ${value}`), `${await said()} ${row}`);
  }
  await page.keyboard.press("ArrowLeft");
  assert.ok((await said()).startsWith(`at ${rows[1][0]} s; `));
  await page.keyboard.press("End");
  assert.ok((await said()).startsWith(`at ${rows[rows.length - 1][0]} s; `));
  // Of bars without an instant the rows.
  await page.focus("#fig-figure-16 .chart");
  await page.keyboard.press("Home");
  assert.match(await said(), /^at \S+ 1\/s; MIPv6 \(model\): \S+; HMIPv6 \(model\): \S+; CoMP \(model\): \S+/);
  // Every button and every figure is reached by Tab.
  await page.evaluate(() => document.activeElement.blur());
  const reached = new Set();
  const wanted = ["fig-rtt-flow-1 Zoom in", "fig-rtt-flow-1 CSV", "fig-topology Next handover", "fig-handover-1 Values"];
  // From wherever that is.
  for (let tabs = 0; tabs < 1000 && !wanted.every(one => reached.has(one)); tabs += 1) {
    await page.keyboard.press("Tab");
    const told = await page.evaluate(() => {
      const on = document.activeElement;
      return on === document.body ? null : `${on.closest("figure")?.id ?? ""} ${on.ariaLabel || on.textContent}`;
    });
    if (told !== null) reached.add(told);
  }
  assert.deepStrictEqual(wanted.filter(one => !reached.has(one)), []);
}

const axis = (page, figure, name) => page.$eval(`#fig-${figure} svg.wide`, (svg, name) => {
  const texts = [...svg.querySelectorAll(`${name} text`)];
  return texts.filter(text => text.getAttribute("text-anchor") === "middle").map(text => Number(text.textContent.replaceAll("\u2009", "")));
}, name);

async function zooms(page) {
  const figure = "message-ids-flow-1";
  const { rows } = await table(page, figure);
  const [from, to] = [await placeOf(page, figure, 0.5), await placeOf(page, figure, 2)];
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(to.x - 20, to.y);
  await drawn(page);
  await page.mouse.move(to.x, to.y);
  await drawn(page);
  assert.ok(await page.$(`#fig-${figure} g.select`));
  await shot(page, "select", `#fig-${figure}`);
  await page.mouse.up();
  const zoomed = await page.evaluate(id => charts.find(chart => chart.figure.id === id).zoom, `fig-${figure}`);
  assert.ok(Math.abs(zoomed[0] - 0.5) < 0.05 && Math.abs(zoomed[1] - 2) < 0.05, String(zoomed));
  const labels = await axis(page, figure, "g.part");
  assert.ok(labels.length >= 3 && labels.every(at => at >= zoomed[0] - 1e-9 && at <= zoomed[1] + 1e-9), String(labels));
  // Its points are those of the table that are in there.
  const inside = rows.filter(([x, request]) => request !== "" && Number(x) >= zoomed[0] && Number(x) <= zoomed[1]).length;
  const dots = await page.$eval(`#fig-${figure} svg.wide g.part path.d0`, path => path.getAttribute("d").match(/M/g)?.length ?? 0);
  assert.strictEqual(dots, inside);
  await shot(page, "zoomed", `#fig-${figure}`);
  // Further in by the wheel with Ctrl, which else scrolls the page.
  await page.keyboard.down("Control");
  await page.mouse.wheel({ deltaY: -100 });
  await page.keyboard.up("Control");
  await page.waitForFunction((id, width) => {
    const [from, to] = charts.find(chart => chart.figure.id === id).zoom;
    return to - from < width * 0.9;
  }, {}, `fig-${figure}`, zoomed[1] - zoomed[0]);
  await page.focus(`#fig-${figure} .chart`);
  await page.keyboard.press("0");
  assert.strictEqual(await page.$(`#fig-${figure} g.part`), null);
  assert.strictEqual(await page.$eval(`#fig-${figure} svg.wide g.area`, area => area.style.display), "");
  assert.strictEqual(await text(page, "[aria-live=polite]"), "All is shown");
  // By buttons, and bars too.
  const button = async name => {
    for (const one of await page.$$("#fig-handover-1 .tools button")) {
      if ((await one.evaluate(one => one.textContent)) === name) return one.click();
    }
    return assert.fail(`no button ${name}`);
  };
  await button("Zoom in");
  await button("Zoom in");
  const bars = await axis(page, "handover-1", "g.part");
  assert.ok(bars[bars.length - 1] - bars[0] < 60, String(bars));
  await shot(page, "zoomed-bars", "#fig-handover-1");
  await button("Whole");
  assert.strictEqual(await page.$("#fig-handover-1 g.part"), null);
}

async function savesValues(page, browser) {
  const folder = fs.mkdtempSync(path.join(process.env.TMPDIR, "saved-"));
  const session = await browser.target().createCDPSession();
  await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder, eventsEnabled: true });
  const saved = new Promise(done => session.on("Browser.downloadProgress", told => (told.state === "completed" ? done() : null)));
  await page.$eval("#fig-rtt-flow-1 .tools a", link => link.click());
  await saved;
  const { csv } = await table(page, "rtt-flow-1");
  assert.strictEqual(fs.readFileSync(path.join(folder, "rtt-flow-1.csv"), "utf8"), csv);
}

async function leadsToFramesAndPlayer(page) {
  const row = await page.$eval("#frames tbody tr", row => [...row.cells].map(cell => cell.textContent));
  assert.strictEqual(row[6], `wireshark -g ${row[5]} captures/client.eth0.pcapng`);
  await page.$eval("#frames tbody .time", button => button.click());
  assert.strictEqual(await page.evaluate(() => instant.at), Number(row[0]));
  assert.strictEqual(await text(page, ".scrub code"), `http://127.0.0.1:8080/#t=${Number(row[0]).toFixed(9)}`);
  assert.match(await text(page, ".scrub output"), /: sensor at er1$/);
  await shot(page, "frames", "#frames");
  await shot(page, "scheme", "#fig-topology");
}

async function scrubs(page) {
  const dot = () => page.$eval("#fig-area svg.wide", svg => {
    const circle = [...svg.querySelectorAll("g.places circle")].find(one => one.textContent === "sensor");
    const value = (axis, key) => {
      const [start, end, min, max] = svg.dataset[axis].split(" ").map(Number);
      return min + ((Number(circle.getAttribute(key)) - start) / (end - start)) * (max - min);
    };
    return [value("x", "cx"), value("y", "cy")];
  });
  const go = async seconds => {
    await page.$eval(".scrub input[type=range]", (range, seconds) => {
      range.value = seconds;
      range.dispatchEvent(new Event("input"));
    }, seconds);
    await page.waitForFunction(seconds => instant.at === seconds, {}, seconds);
    const [x, y] = await dot();
    assert.ok(Math.abs(y) < 0.5, String(y));
    return x;
  };
  // It stands at 10 m until 2 s, and walks 3 m in a second.
  assert.ok(Math.abs((await go(1)) - 10) < 0.5);
  assert.ok(Math.abs((await go(7)) - 25) < 0.5);
  assert.ok(Math.abs((await go(12.5)) - 41.5) < 0.5);
  assert.strictEqual(await page.$eval(".scrub input[type=number]", field => field.value), "12.5");
  assert.match(await text(page, ".scrub output"), /^12\.500000 s: sensor at er2$/);
  await shot(page, "map", "#fig-area");
  await page.focus(".scrub input[type=range]");
  await page.keyboard.press("Home");
  await page.waitForFunction(() => instant.at === 0);
  assert.match(await text(page, ".scrub output"), /sensor at er1$/);
  const buttons = await page.$$(".scrub button");
  await buttons[1].click();
  assert.strictEqual(await page.evaluate(() => instant.at), 0.052);
  assert.match(await text(page, ".scrub output"), /sensor at no router$/);
}

async function fitsAPhone(page) {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await shot(page, "desktop");
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  assert.notStrictEqual(await paper(), light);
  await hover(page, "rtt-flow-1", 1);
  await shot(page, "dark", "#messages");
  for (const width of [390, 320]) {
    await page.setViewport({ width, height: 700, isMobile: true, hasTouch: true });
    await page.waitForFunction(width => innerWidth === width, {}, width);
    const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(scroll <= width, `${scroll} > ${width}`);
    // A finger on the figure for telephones.
    const chart = await page.$("#fig-rtt-flow-1 .chart");
    await chart.scrollIntoView();
    const box = await chart.boundingBox();
    await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
    await drawn(page);
    const lines = await tip(page)("rtt-flow-1");
    assert.match(lines[1], /^sent once: [\d.]+ ms at [\d.]+ s$/);
    const inside = await page.$eval("#fig-rtt-flow-1 .tip", tip => tip.getBoundingClientRect().left >= 0 && tip.getBoundingClientRect().right <= innerWidth);
    assert.ok(inside);
    await shot(page, `phone-${width}`, "#messages");
    await shot(page, `phone-scrub-${width}`, "#topology");
  }
}

async function printsAsItWas(page) {
  await page.emulateMediaType("print");
  const shown = await page.$$eval(".tools, .scrub, .tip, .values:not([open])", all => all.filter(one => one.getClientRects().length).length);
  assert.strictEqual(shown, 0);
  await page.emulateMediaType(null);
}

async function isLegibleWithoutScript(browser) {
  const page = await open(browser, run, { script: false });
  assert.strictEqual((await page.$$(".tools, .scrub, .tip")).length, 0);
  const seen = async selector => (await (await page.$(selector)).boundingBox()) !== null;
  for (const figure of ["topology", "handover-1", "message-ids-flow-1", "rtt-flow-1", "signal-sensor", "figure-15"]) {
    assert.ok(await seen(`#fig-${figure} svg.wide`), figure);
    assert.ok(await seen(`#fig-${figure} .values summary`), figure);
  }
  await (await page.$("#fig-rtt-flow-1 .values summary")).click();
  assert.ok(await seen("#fig-rtt-flow-1 .values pre"));
  assert.ok(await seen("#frames table"));
  await shot(page, "without-script");
  await page.close();
}

async function runsNoOtherScript(browser) {
  const page = await open(browser, injected);
  assert.strictEqual(await page.evaluate(() => window.injected), undefined);
  assert.ok(await page.$("#fig-rtt-flow-1 .tools"), "its own runs");
  assert.ok(messages.length >= 2 && messages.every(message => /Content Security Policy/.test(message)), messages.join("\n"));
  messages.length = 0;
}

async function all() {
  const browser = await launch({ timeout: PATIENCE_MS });
  try {
    const page = await open(browser, run);
    for (const part of [readsValues, linksCursors, isReadByKeyboardAlone, zooms, savesValues, leadsToFramesAndPlayer, printsAsItWas, fitsAPhone]) {
      await part(page, browser);
      assert.deepStrictEqual(messages, [], part.name);
    }
    await scrubs(await open(browser, walk));
    await isLegibleWithoutScript(browser);
    assert.deepStrictEqual(messages, []);
    await runsNoOtherScript(browser);
  } finally {
    await browser.close();
  }
}

all().catch(error => {
  console.error(error);
  process.exitCode = 1;
});
