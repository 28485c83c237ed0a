// What a person does with the page, in one start of Chromium. Arguments: the page of a finished run, that of a growing
// one, that of one that is held, the growing one's directory, and the directory of what it grows by. With SHOTS=DIR pictures are left there.

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");

const { launch } = require("../../../tests/chromium.cjs");

const [finished, growing, watched, growingDir, rest] = process.argv.slice(2);

const PATIENCE_MS = 120_000; // after so long a test that fails ends

const messages = [];

async function open(browser, url) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("console", message => messages.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", error => messages.push(String(error.stack)));
  page.on("requestfailed", request => {
    const { errorText } = request.failure();
    // The page closes its event stream itself.
    if (request.resourceType() === "eventsource" && errorText === "net::ERR_ABORTED") return;
    messages.push(`${request.url()}: ${errorText}`);
  });
  await page.setViewport({ width: 1280, height: 860 });
  await page.goto(url);
  await shown(page);
  return page;
}

// Waits until a run is shown and nothing is asked any more.
async function shown(page) {
  await page.waitForFunction(() => model.plan !== null && model.extent.read && !player.seeking && !player.filling && !nodeEvents.asked);
}

async function settled(page) {
  await page.waitForFunction(() => !player.playing && !player.seeking && !player.filling && !nodeEvents.asked && !loop.awake);
}

const instant = page => page.evaluate(() => ({ number: model.number, now: model.now, said: document.getElementById("said").textContent }));
const text = (page, selector) => page.$eval(selector, element => element.textContent);

// What the page made of the events is what the server makes of them.
async function checkState(page) {
  const [own, told] = await page.evaluate(async () => [model.nodes, (await ask(`/state?number=${model.number}`)).nodes]);
  assert.deepStrictEqual(own, told);
}

// Pixels of a colour of the page's on the map.
function pixels(page, name) {
  return page.evaluate(colour => {
    draw(1e6, performance.now() + 1e6);
    const { width, height } = view.canvas;
    const copy = Object.assign(document.createElement("canvas"), { width: width + 1, height });
    const pen = copy.getContext("2d", { willReadFrequently: true });
    pen.drawImage(view.canvas, 0, 0);
    pen.fillStyle = view.colours[colour];
    pen.fillRect(width, 0, 1, 1);
    const [r, g, b] = pen.getImageData(width, 0, 1, 1).data;
    const { data } = pen.getImageData(0, 0, width, height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) count += data[i] === r && data[i + 1] === g && data[i + 2] === b;
    return count;
  }, name);
}

async function shot(page, name) {
  if (process.env.SHOTS) await page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });
}

async function plays(page) {
  assert.strictEqual(await text(page, "h1"), "handover");
  assert.strictEqual(await text(page, "#verdict"), "passed");
  const begin = await instant(page);
  assert.strictEqual(await page.$eval("#instant", field => field.value), "0.000000");
  await page.keyboard.press(" ");
  assert.strictEqual(await text(page, "#play"), "Pause");
  // From there on it goes slowly, however late the key to pause it comes: attenuations follow for a second.
  await page.waitForFunction(number => model.number > number && (setSpeed(0), true), {}, begin.number + 1);
  await page.keyboard.press(" ");
  await settled(page);
  await page.evaluate(() => setSpeed(SPEEDS.indexOf(1)));
  const paused = await instant(page);
  await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
  assert.strictEqual((await instant(page)).now, paused.now);
  await checkState(page);
  await page.keyboard.press("ArrowRight");
  await settled(page);
  const stepped = await instant(page);
  assert.strictEqual(stepped.number, paused.number + 1);
  assert.match(stepped.said, /^scenario: attenuation .* s$/);
  await page.keyboard.press("ArrowLeft");
  await settled(page);
  assert.strictEqual((await instant(page)).number, paused.number);
  await checkState(page);
  await shot(page, "paused");
}

async function jumpsToAHandover(page) {
  assert.strictEqual(await pixels(page, "c1"), 0);
  await page.keyboard.press("n");
  await settled(page);
  const told = await page.evaluate(() => [model.handovers[0].started_ns, model.now]);
  assert.strictEqual(told[0], told[1]);
  assert.strictEqual(await text(page, "#h-node"), "sensor");
  assert.match(await text(page, "#handovers [aria-current=true]"), /sensor 1er1 → er2: .* ms.*client: .* ms, 0 lost/);
  const status = () => text(page, "#nodes [data-node=sensor]");
  for (let steps = 0; !/on hold at wmms, client|on hold at client, wmms/.test(await status()); steps += 1) {
    assert.ok(steps < 20, await status());
    await page.keyboard.press("ArrowRight");
    await settled(page);
  }
  assert.match(await text(page, "#nodes [data-node=client]"), /keeps back sensor/);
  assert.ok(await pixels(page, "c1") > 100, "the hold is drawn");
  for (let steps = 0; !/has left er1/.test(await status()); steps += 1) {
    assert.ok(steps < 20, await status());
    await page.keyboard.press("ArrowRight");
    await settled(page);
  }
  await page.waitForFunction(() => /link begins/.test(document.getElementById("node-events").firstChild.textContent));
  await shot(page, "hold");
}

async function reloadsWhereItWas(page) {
  const before = await instant(page);
  await page.waitForFunction(() => location.hash.startsWith(`#t=${toSeconds(model.now).toFixed(9)}`));
  await page.reload();
  await shown(page);
  await settled(page);
  const after = await instant(page);
  assert.strictEqual(after.number, before.number);
  assert.ok(Math.abs(after.now - before.now) <= 1, `${before.now} ${after.now}`);
  assert.strictEqual(await text(page, "#h-node"), "sensor");
  await checkState(page);
}

async function goesToTheEnd(page) {
  await page.select("#speed", await page.$eval("#speed", list => list.options[list.options.length - 1].value));
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press(" ");
  await page.waitForFunction(() => !player.playing && model.number === model.extent.count);
  await settled(page);
  assert.match(await text(page, "#nodes [data-node=sensor]"), /at er2/);
  await checkState(page);
  // The slider by its own keys.
  await page.focus("#scrub");
  await page.keyboard.press("Home");
  await settled(page);
  assert.strictEqual((await instant(page)).now, 0);
  await page.keyboard.press("End");
  await settled(page);
  assert.strictEqual((await instant(page)).number, await page.evaluate(() => model.extent.count));
}

async function isDoneByKeyboardAlone(page) {
  await page.evaluate(() => document.activeElement.blur());
  const reached = [], wanted = ["scrub", "back", "play", "step", "next", "speed", "instant", "previous"];
  // Beginning anywhere; at last where the handovers are.
  for (let tabs = 0; tabs < 200 && !(wanted.every(id => reached.includes(id)) && reached.at(-1) === "previous"); tabs += 1) {
    await page.keyboard.press("Tab");
    const { id, name, outline, isPage } = await page.evaluate(() => {
      const on = document.activeElement;
      return { id: on.id, name: (on.ariaLabel || on.textContent).slice(0, 60), outline: getComputedStyle(on).outlineStyle, isPage: on === document.body };
    });
    if (isPage) continue; // between the last element and the first
    assert.ok(name.trim() !== "" || id === "scrub", `an element without a name: ${id}`);
    assert.notStrictEqual(outline, "none", `where the keyboard is is not seen: ${id} ${name}`);
    reached.push(id);
  }
  assert.deepStrictEqual(wanted.filter(id => !reached.includes(id)), []);
  // However long a list is, it is one stop, and arrow keys lead along it.
  const stops = await page.$$eval(".list", lists => lists.map(list => [...list.querySelectorAll("button")].filter(one => one.tabIndex === 0).length));
  assert.deepStrictEqual(stops.filter(count => count > 1), []);
  const on = () => page.evaluate(() => placeIn(at("events")));
  await page.focus("#events button");
  for (const [key, place] of [["ArrowDown", 1], ["ArrowDown", 2], ["ArrowUp", 1]]) {
    await page.keyboard.press(key);
    assert.strictEqual(await on(), place);
  }
  assert.strictEqual(await page.$eval("#events li:nth-child(2) button", one => one.tabIndex), 0);
  await page.focus("#previous");
  await page.keyboard.press("Enter");
  await settled(page);
  assert.match((await instant(page)).said, /^Handover 1 of sensor/);
  await page.focus("#instant");
  await page.keyboard.press("End");
  await page.keyboard.down("Shift");
  await page.keyboard.press("Home");
  await page.keyboard.up("Shift");
  await page.keyboard.type("1.5");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => Math.abs(toSeconds(model.now) - 1.5) < 1e-9);
  await settled(page);
}

async function isClicked(page) {
  await page.keyboard.press("Tab");
  await page.keyboard.press("Escape");
  await settled(page);
  assert.ok(await page.$eval("#node-section", section => section.hidden));
  const [x, y] = await page.evaluate(() => view.places.get("wmms"));
  const box = await (await page.$("#map")).boundingBox();
  await page.mouse.click(box.x + x + 1, box.y + y + 1);
  await settled(page);
  assert.strictEqual(await text(page, "#h-node"), "wmms");
  assert.match(await text(page, "#node table"), /sensor/);
}

// Keys that come while it is on its way count.
async function isAskedQuickly(page) {
  const number = await page.evaluate(async () => {
    seek({ number: 20 });
    await Promise.all([step(), step()]);
    await seek({ number: 30 });
    await step();
    return model.number;
  });
  assert.strictEqual(number, 31);
  await page.evaluate(() => Promise.all([stepBack(), stepBack(), stepBack()]));
  assert.strictEqual((await instant(page)).number, 28);
  const twoAtOnce = await page.evaluate(async () => {
    const [told] = model.handovers;
    const said = [];
    await seek({ number: 0 });
    model.handovers.push({ ...told, number: 2 });
    for (const go of [nextHandover, nextHandover, previousHandover, previousHandover]) {
      go();
      said.push(document.getElementById("said").textContent);
    }
    model.handovers.pop();
    await player.sought;
    return said;
  });
  const [one, two] = [1, 2].map(number => `Handover ${number} of sensor, from er1`);
  assert.deepStrictEqual(twoAtOnce, [one, two, one, "There is no further handover."]);
  await settled(page);
}

// A reason is whatever a node says.
async function takesAnyName(page) {
  const told = await page.evaluate(() => {
    const nodes = bare({});
    for (const of of ["constructor", "__proto__"]) change(nodes, { node: "__proto__", key: "failed", of, add: 1 });
    return JSON.stringify(nodes);
  });
  assert.strictEqual(told, '{"__proto__":{"failed":{"constructor":1,"__proto__":1}}}');
}

async function fitsAPhone(page) {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  assert.notStrictEqual(await paper(), light);
  for (const width of [390, 320]) {
    await page.setViewport({ width, height: 700, isMobile: true, hasTouch: true });
    await shown(page);
    await settled(page);
    const [scroll, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(scroll <= inner, `${scroll} > ${inner}`);
    await shot(page, `phone-${width}`);
  }
  // Held across, the controls are one line.
  await page.setViewport({ width: 700, height: 360, isMobile: true, hasTouch: true });
  await settled(page);
  await page.evaluate(() => scrollTo(0, 0));
  const [footer, map] = await page.evaluate(() => [document.querySelector("footer"), at("map")].map(one => one.getBoundingClientRect().height));
  assert.ok(footer < 100 && map > 200, `${footer} ${map}`);
  await shot(page, "phone-across");
}

// The run puts its events in order at its end, if a line came late.
async function staysWhereItIs(page, events) {
  await page.evaluate(() => {
    pause();
    return seek({ t: 1.5e9 });
  });
  const before = await instant(page);
  fs.copyFileSync(events, `${events}.new`);
  fs.renameSync(`${events}.new`, events);
  await page.waitForFunction(() => model.extent.generation === 1 && model.extent.read);
  await settled(page);
  const { now, number } = await instant(page);
  assert.deepStrictEqual([now, number], [before.now, before.number]);
  await checkState(page);
}

async function followsARun(browser, other) {
  const page = await open(browser, growing);
  assert.strictEqual(await text(page, "#verdict"), "goes on");
  await page.waitForFunction(() => player.stream !== null);
  // As if it were one stream too many.
  await page.evaluate(() => {
    player.stream.close();
    player.stream.dispatchEvent(new Event("error"));
  });
  await page.waitForFunction(() => player.stream?.readyState === EventSource.OPEN);
  await page.click("#live");
  await page.waitForFunction(() => player.stream !== null && player.playing);
  const before = await page.evaluate(() => model.extent.count);
  const events = path.join(growingDir, "events.jsonl");
  const late = fs.readFileSync(path.join(rest, "events"), "utf8");
  const completed = late.lastIndexOf("\n", late.indexOf('"handover_completed"')) + 1;
  const listed = what => page.waitForFunction(what => document.getElementById("handovers").textContent.includes(what), {}, what);
  fs.appendFileSync(events, late.slice(0, completed));
  await listed("goes on");
  fs.appendFileSync(events, late.slice(completed));
  await listed("er1 → er2");
  await page.waitForFunction(before => model.extent.count > before && model.number === model.extent.count && model.nodes.scenario.ended, {}, before);
  await staysWhereItIs(page, events);
  await page.click("#live");
  fs.copyFileSync(path.join(rest, "result"), path.join(growingDir, "new"));
  fs.renameSync(path.join(growingDir, "new"), path.join(growingDir, "result.json"));
  await page.waitForFunction(() => document.getElementById("verdict").textContent === "passed");
  await settled(page);
  assert.ok(await page.$eval("#live", button => button.hidden));
  await checkState(page);
  // Each has an instant of its own.
  assert.notStrictEqual((await instant(page)).number, (await instant(other)).number);
}

// The clock that holds a run is everybody's.
async function isHeld(browser) {
  const page = await open(browser, watched), other = await open(browser, watched);
  // One of both is behind the other, where nothing is drawn.
  const behind = { polling: 50 };
  const holds = (page, what) => page.waitForFunction(what => document.getElementById("hold").textContent === what, behind, what);
  const paces = (page, what) => page.waitForFunction(what => document.getElementById("pace").value === what, behind, what);
  const asked = page => page.evaluate(async () => (await ask("/extent")).pace);
  await Promise.all([page, other].map(page => page.waitForFunction(() => player.stream?.readyState === EventSource.OPEN, behind)));
  await paces(page, "×1");
  await page.bringToFront();
  await page.keyboard.press("h");
  await holds(page, "Go on");
  await holds(other, "Go on");
  const paused = await asked(page);
  assert.deepStrictEqual([paused.paused, paused.speed], [true, 1]);
  assert.deepStrictEqual(await asked(page), paused, "its clock stands");
  await other.bringToFront();
  await other.select("#pace", "×10");
  await paces(page, "×10");
  assert.deepStrictEqual(await asked(page), { ...paused, speed: 10 });
  await other.select("#pace", "as fast as it goes");
  await paces(page, "as fast as it goes");
  await other.click("#hold");
  await holds(page, "Pause");
  assert.strictEqual((await asked(page)).paused, false);
  await other.close();
  await page.bringToFront();
  await shot(page, "held");
  return page;
}

async function letsSomethingHappen(page) {
  await page.focus("#act summary");
  await page.keyboard.press("Enter");
  await page.evaluate(() => select("sensor"));
  await page.waitForFunction(() => /^\{ at: [0-9.]+ s, crash: sensor \}$/.test(document.getElementById("act-step").value));
  await page.focus("#act-step");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("said").textContent === "The run begins again with this step. Live goes with it.");
  assert.ok(await page.$eval("#act-refused", told => told.hidden));
  await page.$eval("#act-step", field => (field.value = "{ at: 1 s, nonsense: sensor }"));
  messages.length = 0;
  await page.click("#act-do");
  await page.waitForFunction(() => !document.getElementById("act-refused").hidden);
  assert.strictEqual(await text(page, "#act-refused"), "`{ at: 1 s, nonsense: sensor }` is nothing that happens");
  // What somebody has written stays until it has happened.
  assert.strictEqual(await page.$eval("#act-step", field => field.value), "{ at: 1 s, nonsense: sensor }");
  await shot(page, "intervened");
  // The browser tells of any answer that is an error.
  assert.ok(messages.every(message => /status of 4/.test(message)), messages.join());
  messages.length = 0;
  await page.close();
}

// The report is shown with its own script and no other, and leads back to the instant of a handover.
async function reportLeadsBack(browser) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const said = [];
  page.on("console", message => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", error => said.push(String(error.stack)));
  await page.goto(`${finished}report.html`);
  await page.waitForSelector(".scrub");
  const asked = await page.$eval(".played a", link => link.getAttribute("href"));
  assert.match(asked, /^\/#t=\d+\.\d{9}&node=sensor$/);
  await page.click(".played a");
  await page.waitForFunction(() => location.pathname === "/" && typeof model === "object" && model.plan !== null);
  await shown(page);
  await settled(page);
  const { now } = await instant(page);
  assert.ok(Math.abs((await page.evaluate(now => toSeconds(now), now)) - Number(asked.match(/[\d.]+/)[0])) < 2e-9);
  assert.strictEqual(await text(page, "#h-node"), "sensor");
  assert.deepStrictEqual(said, []);
  await page.close();
}

async function all() {
  const browser = await launch({ timeout: PATIENCE_MS });
  try {
    const page = await open(browser, finished);
    for (const part of [plays, jumpsToAHandover, reloadsWhereItWas, goesToTheEnd, isDoneByKeyboardAlone, isClicked, isAskedQuickly, takesAnyName, fitsAPhone]) {
      await part(page);
      assert.deepStrictEqual(messages, [], part.name);
    }
    await reportLeadsBack(browser);
    await followsARun(browser, page);
    assert.deepStrictEqual(messages, []);
    const held = await isHeld(browser);
    assert.deepStrictEqual(messages, []);
    await letsSomethingHappen(held);
  } finally {
    await browser.close();
  }
}

all().catch(error => {
  console.error(error);
  process.exitCode = 1;
});
