// Looks at the gateway's page from outside of a testbed in real time, as its user does: see page.rs.
'use strict';
const assert = require('node:assert');
const path = require('node:path');

const { launch } = require('../chromium.cjs');

const [profile, pictures, gateway, how] = process.argv.slice(2);

// Longer than anything here takes, also on a busy machine: only so that a test that fails ends.
const LIMIT_MS = 120_000;

// What a console, a request or the page itself complains of.
const complaints = [];

async function open(browser, way) {
    const page = await browser.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    page.on('console', message => complaints.push(`console: ${message.text()}`));
    page.on('pageerror', error => complaints.push(`error: ${error.message}`));
    page.on('response', response => response.status() >= 400 && complaints.push(`${response.status()} of ${response.url()}`));
    await page.goto(`http://${gateway}/#way=${way}`);
    await until(page, () => document.getElementById('value').textContent !== '');
    // Every state that the page shows, and when it is on hold, for as long as the page is not loaded again.
    await page.evaluate(() => {
        window.seen = [];
        const look = () => {
            const state = document.getElementById('state');
            const one = { value: Number(document.getElementById('value').textContent), held: state.dataset.state === 'hold' };
            const last = window.seen.at(-1);
            if (last?.value !== one.value || last.held !== one.held) window.seen.push({ ...one, at: performance.now() });
        };
        new MutationObserver(look).observe(document.querySelector('.now'), { subtree: true, childList: true, characterData: true, attributes: true });
    });
    return page;
}

// A page behind another one draws nothing.
const until = (page, what, ...given) => page.waitForFunction(what, { polling: 50 }, ...given);
const text = (page, id) => page.$eval('#' + id, element => element.textContent);
const shows = (page, id, part) => until(page, (id, part) => document.getElementById(id).textContent.includes(part), id, part);
const shot = (page, name) => page.screenshot({ path: path.join(pictures, `${how}-${name}.png`), fullPage: true });

// The gateway is there as soon as its node is.
async function isThere() {
    for (const end = Date.now() + LIMIT_MS; Date.now() < end;) {
        const answer = await fetch(`http://${gateway}/nodes`).catch(() => null);
        if (answer?.ok) return;
        await new Promise(done => setTimeout(done, 200));
    }
    assert.fail('nobody answers');
}

async function goesOn(page) {
    for (let times = 0; times < 5; times++) {
        const former = Number(await text(page, 'value'));
        await until(page, former => Number(document.getElementById('value').textContent) > former, former);
    }
}

// The longest time between two values, and whether a hold was shown in it.
async function silence(page) {
    const seen = await page.evaluate(() => window.seen);
    const values = seen.filter((one, i) => i === 0 || one.value !== seen[i - 1].value);
    const gaps = values.slice(1).map((one, i) => ({ ms: one.at - values[i].at, from: values[i].at, to: one.at }));
    const { ms, from, to } = gaps.reduce((longest, gap) => gap.ms > longest.ms ? gap : longest);
    return { ms, held: seen.some(one => one.held && one.at >= from && one.at <= to) };
}

// The value stops, the hold is shown, it goes on from the new address, and nothing was missed.
async function withHold(browser) {
    const pages = [await open(browser, 'ws'), await open(browser, 'http')];
    const there = await text(pages[0], 'state');
    await Promise.all(pages.map(page => shows(page, 'state', 'hold')));
    await shot(pages[1], 'held');
    await Promise.all(pages.map(page => shows(page, 'state', 'sensor is bound at')));
    for (const page of pages) {
        assert.notStrictEqual(await text(page, 'state'), there, 'a new address');
        await goesOn(page);
        const { ms, held } = await silence(page);
        assert.ok(held && ms > 800, `${ms} ms, held: ${held}`);
        assert.strictEqual(await text(page, 'missed'), '');
    }
    // The mobility server is gone and comes back; who knows where the node is needs it not.
    const last = async () => (await fetch(`http://${gateway}/nodes`)).json();
    const bound = (await last()).nodes[0].at;
    for (const end = Date.now() + 9_000; Date.now() < end;) for (const page of pages) await goesOn(page);
    assert.strictEqual((await last()).nodes[0].at, bound);
    // Loaded again in the middle of the second hold.
    await Promise.all(pages.map(page => shows(page, 'state', 'hold')));
    await pages[0].reload();
    await Promise.all(pages.map(page => until(page, bound => {
        const told = document.getElementById('state').textContent;
        return told.includes('is bound at') && !told.includes(bound);
    }, bound)));
    for (const page of pages) {
        await goesOn(page);
        assert.strictEqual(await text(page, 'missed'), '');
    }
    await shot(pages[0], 'over');
}

// Without a hold nothing tells that it is on its way, and what it says meanwhile is lost: that is shown.
async function withoutHold(browser) {
    const pages = [await open(browser, 'ws'), await open(browser, 'http')];
    await Promise.all(pages.map(page => shows(page, 'missed', 'did not come')));
    for (const page of pages) {
        await goesOn(page);
        const { ms, held } = await silence(page);
        assert.ok(!held && ms > 800, `${ms} ms, held: ${held}`);
        assert.match(await text(page, 'missed'), /^\d+ notifications? of sensor did not come$/);
    }
    await shot(pages[1], 'missed');
}

async function main() {
    await isThere();
    const browser = await launch({ userDataDir: profile });
    try {
        await { hold: withHold, none: withoutHold }[how](browser);
        assert.deepStrictEqual(complaints, []);
    } finally {
        await browser.close();
    }
}

main().then(() => process.exit(0), error => {
    console.error(error, complaints);
    process.exit(1);
});
