// Looks at the page as a user does: see browser.rs.
'use strict';
const assert = require('node:assert');
const path = require('node:path');
const readline = require('node:readline');

const { launch } = require('../../../../../tests/chromium.cjs');

const [profile, pictures, gateway, sensor] = process.argv.slice(2);

// Longer than anything here takes, also on a busy machine: only so that a test that fails ends.
const LIMIT_MS = 60_000;
const PHONE = { width: 360, height: 740 };
const NODE = `coap://${sensor}`;

const input = readline.createInterface({ input: process.stdin });
const answers = input[Symbol.asyncIterator]();
async function have(what) {
    process.stdout.write(what + '\n');
    await answers.next();
}

// What a console, a request or the page itself complains of.
const complaints = [];

async function open(browser, url = `http://${gateway}/`) {
    const page = await browser.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    page.on('console', message => complaints.push(`console: ${message.text()}`));
    page.on('pageerror', error => complaints.push(`error: ${error.message}`));
    page.on('response', response => response.status() >= 400 && complaints.push(`${response.status()} of ${response.url()}`));
    await page.setViewport(PHONE);
    await page.goto(url);
    return page;
}

// A page behind another one draws nothing.
const until = (page, what, ...given) => page.waitForFunction(what, { polling: 50 }, ...given);
const text = (page, id) => page.$eval('#' + id, element => element.textContent);
const value = async page => Number(await text(page, 'value'));

async function goesOn(page) {
    await until(page, () => document.getElementById('value').textContent !== '');
    for (let times = 0; times < 3; times++) {
        const former = await value(page);
        assert(Number.isFinite(former), 'a number is shown');
        await until(page, former => Number(document.getElementById('value').textContent) > former, former);
    }
}

const shows = (page, id, part) => until(page, (id, part) => document.getElementById(id).textContent.includes(part), id, part);

// States have the Message IDs of their notifications, each another one.
async function haveIds(page) {
    const ids = await page.$$eval('#log tr', rows => rows.filter(row => row.cells[1].textContent === 'state').map(row => row.cells[5].textContent));
    assert(ids.length > 2 && new Set(ids).size === ids.length && ids.every(id => /^\d+$/.test(id)), `Message IDs: ${ids}`);
}
const row = (page, what) => until(page, what => [...document.querySelectorAll('#log tr')].some(row => row.textContent.includes(what)), what);

async function fits(page) {
    const [width, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert(width <= room, `${width} pixels in ${room}`);
}

// Where the focus is.
const focus = page => page.evaluate(() => document.activeElement.id || document.activeElement.value || document.activeElement.className || document.activeElement.tagName);

async function tabTo(page, wanted) {
    for (let times = 0; times < 30; times++) {
        await page.keyboard.press('Tab');
        if (await focus(page) === wanted) return;
    }
    assert.fail(`no Tab leads to ${wanted}`);
}

// A hold is shown, a request that is made meanwhile waits for its end, and the new binding is shown.
async function handover(page, t_addr) {
    await have('hold');
    await shows(page, 'state', 'hold');
    await page.screenshot({ path: path.join(pictures, `hold-${t_addr.replaceAll(':', '-')}.png`) });
    await page.click('#read');
    await have(`bind ${t_addr}`);
    await shows(page, 'state', t_addr);
    await row(page, `sensor is at ${t_addr}`);
    await goesOn(page);
}

async function checkNames(page) {
    const tree = await page.accessibility.snapshot();
    const roles = ['textbox', 'combobox', 'button', 'radio', 'status', 'region'];
    const walk = node => [node, ...(node.children ?? []).flatMap(walk)];
    const controls = walk(tree).filter(node => roles.includes(node.role));
    assert(controls.length >= 8, JSON.stringify(tree));
    for (const control of controls.filter(node => node.role !== 'status')) assert(control.name, `no name: ${JSON.stringify(control)}`);
}

async function look(browser) {
    const page = await open(browser);
    // The first thing that may change is followed at once, and another one when it is chosen.
    await shows(page, 'link', 'WebSocket');
    await shows(page, 'value', 'off');
    await page.focus('#resource');
    await page.keyboard.type('/count');
    await until(page, uri => document.getElementById('uri').value === uri, `${NODE}/count`);
    await until(page, () => Number(document.getElementById('value').textContent) > 0);
    await goesOn(page);
    await row(page, '2.05');
    await haveIds(page);
    await fits(page);
    await checkNames(page);
    await page.screenshot({ path: path.join(pictures, 'phone.png'), fullPage: true });
    await handover(page, '2001:db8:2::5');
    await row(page, 'GET');

    // By keyboard alone: the other way, and back.
    await page.focus('input[name=way]');
    await page.keyboard.press('ArrowDown');
    await shows(page, 'link', 'HTTP');
    await goesOn(page);
    await handover(page, '2001:db8:1::5');
    await row(page, '200');
    await haveIds(page);

    // A page that is loaded again goes on where it was.
    await page.reload();
    await shows(page, 'link', 'HTTP');
    await goesOn(page);
    await shows(page, 'state', '2001:db8:1::5');
    await page.focus('input[value=http]');
    await page.keyboard.press('ArrowUp');
    await shows(page, 'link', 'WebSocket');
    await page.reload();
    await shows(page, 'link', 'WebSocket');
    await goesOn(page);

    // Two look at the same.
    const other = await open(browser, page.url());
    await goesOn(other);
    await goesOn(page);
    await other.close();
    await goesOn(page);

    // Another resource, read and written, by keyboard alone.
    await page.bringToFront();
    await page.focus('input[name=way]:checked');
    await tabTo(page, 'uri');
    await page.keyboard.down('Control');
    await page.keyboard.press('a');
    await page.keyboard.up('Control');
    await page.keyboard.type(`${NODE}/lamp`);
    await page.keyboard.press('Enter');
    await until(page, () => document.getElementById('value').textContent === 'off');
    await tabTo(page, 'payload');
    await page.keyboard.type('on');
    await page.keyboard.press('Enter');
    await row(page, 'PUT2.04');
    await page.focus('#follow');
    await tabTo(page, 'read');
    await page.keyboard.press('Enter');
    await until(page, () => document.getElementById('value').textContent === 'on');
    await tabTo(page, 'scroll');
    await fits(page);

    // More than a block, over the WebSocket.
    const long = 'abcdefghij'.repeat(205);
    await page.focus('input[name=way]:checked');
    await page.keyboard.press('ArrowDown');
    await shows(page, 'link', 'HTTP');
    await page.$eval('#payload', (input, long) => { input.value = long; }, long);
    await page.focus('#payload');
    await page.keyboard.press('Enter');
    await row(page, 'PUT204');
    await page.focus('input[name=way]:checked');
    await page.keyboard.press('ArrowUp');
    await shows(page, 'link', 'WebSocket');
    await page.click('#read');
    await until(page, long => document.getElementById('value').textContent === long, long);
    await fits(page);

    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    await page.screenshot({ path: path.join(pictures, 'phone-dark.png'), fullPage: true });
    await page.setViewport({ width: 1100, height: 800 });
    await page.screenshot({ path: path.join(pictures, 'wide-dark.png') });
    assert.deepStrictEqual(complaints, []);
}

async function main() {
    const browser = await launch({ userDataDir: profile });
    try {
        await look(browser);
    } finally {
        await browser.close();
    }
}

main().then(() => process.exit(0), error => {
    console.error(error, complaints);
    process.exit(1);
});
