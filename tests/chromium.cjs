// Chromium, for whatever looks at a page as a person does: tests of pages, and scripts/measuring/player.cjs.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const MODULES = path.join(__dirname, '../target/peers/node/node_modules');

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-quic'];

// A browser of that family, by whatever name it is there.
function chromium() {
    const folders = process.env.PATH.split(':');
    const found = ['chromium', 'chromium-browser', 'google-chrome'].flatMap(name => folders.map(folder => path.join(folder, name)));
    const executable = found.find(file => fs.existsSync(file));
    assert.ok(executable, 'no chromium: run ./scripts/setup');
    return executable;
}

// Starts it, with puppeteer's options besides.
async function launch(options = {}) {
    assert.ok(fs.existsSync(path.join(MODULES, 'puppeteer-core')), `no puppeteer-core in ${MODULES}: run ./scripts/setup`);
    // It is a module, and this is none.
    const { default: puppeteer } = await import(pathToFileURL(require.resolve('puppeteer-core', { paths: [MODULES] })));
    // By a pipe: the browser ends when this does.
    return puppeteer.launch({ executablePath: chromium(), headless: true, pipe: true, args: FLAGS, ...options });
}

module.exports = { launch };
