// Looks at a run in Chromium and prints as JSON how long the page takes: see player.py. Argument: the page's address.
"use strict";
const { launch } = require("../../tests/chromium.cjs");

const [address] = process.argv.slice(2);

const PLAYED_MS = 10_000;
const JUMPS = 20;
const PATIENCE_MS = 120_000;

// Frames that the page draws while it plays, and the longest time between two.
function plays(lasts) {
  return new Promise(done => {
    let frames = 0, last = performance.now(), longest = 0;
    const begin = last;
    const tick = () => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      frames += 1;
      if (now - begin < lasts) requestAnimationFrame(tick);
      else done({ frames_per_s: frames / ((now - begin) / 1000), longest_ms: longest, at: model.number });
    };
    play();
    requestAnimationFrame(tick);
  });
}

async function jumps(count) {
  const took = [];
  pause();
  for (let i = 0; i < count; i += 1) {
    const begin = performance.now();
    await seek({ t: model.extent.end_ns * ((i * 7919) % count) / count });
    took.push(performance.now() - begin);
  }
  return took.sort((a, b) => a - b);
}

async function main() {
  const browser = await launch({ timeout: PATIENCE_MS });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.setViewport({ width: 1280, height: 860 });
    const begin = performance.now();
    await page.goto(address);
    await page.waitForFunction(() => model.plan !== null && !player.seeking && !loop.awake);
    const first_picture_ms = performance.now() - begin;
    await page.waitForFunction(() => model.extent.read && !player.seeking && !player.filling);
    const all_read_ms = performance.now() - begin;
    const played = await page.evaluate(plays, PLAYED_MS);
    const took = await page.evaluate(jumps, JUMPS);
    console.log(JSON.stringify({ first_picture_ms, all_read_ms, ...played, jump_ms: [took[JUMPS / 2], took[JUMPS - 1]] }));
  } finally {
    await browser.close();
  }
}

main().catch(error => {
  console.error(error);
  process.exitCode = 1;
});
