// The run itself while it goes on: its clock is everybody's.

const PACES = [0.1, 0.5, 1, 2, 5, 10, 100, null];

async function wish(what) {
  const answer = await fetch("/pace", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.reason);
  model.extent.pace = value;
  showRun();
}

function paceName(speed) {
  return speed === null ? "as fast as it goes" : `×${speed}`;
}

function showRun() {
  const { pace } = model.extent;
  at("run").hidden = !pace;
  if (!pace) return;
  const hold = at("hold"), text = pace.paused ? "Go on" : "Pause";
  if (hold.textContent !== text) hold.textContent = text;
  const select = at("pace");
  // It may have been started with one of its own.
  if (!PACES.includes(pace.speed)) PACES.push(pace.speed);
  if (select.length !== PACES.length) select.replaceChildren(...PACES.map(speed => make("option", paceName(speed))));
  if (document.activeElement !== select) select.selectedIndex = PACES.indexOf(pace.speed);
}

function hold() {
  const { pace } = model.extent;
  if (!pace) return;
  wish({ paused: !pace.paused }).then(() => {
    say(pace.paused ? "The run goes on." : "The run is paused.");
    // Whoever pauses it looks at where it is, and goes on with it.
    live().then(() => (pace.paused ? null : pause()));
  }, complain);
}

function setPace() {
  const speed = PACES[at("pace").selectedIndex];
  wish({ speed }).then(() => {
    say(`The run goes on: ${paceName(speed)}.`);
    // Who follows it goes on following it.
    if (player.playing) live();
  }, complain);
}

const FURTHER_MS = 2000; // so long a run takes to tell of something at most

// Has a paused run go on to what it tells next that is an event.
async function further() {
  const before = model.extent.count;
  const until = performance.now() + FURTHER_MS;
  try {
    while (model.extent.pace?.paused && model.extent.count === before && performance.now() < until) {
      await wish({ step: true });
      await new Promise(done => setTimeout(done, 250));
      await grown(await ask("/extent"));
    }
    await fill();
  } catch (error) {
    complain(error);
  }
}
