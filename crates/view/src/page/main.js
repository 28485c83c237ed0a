// What a person does, and when what is shown is brought up to date.

const loop = { awake: false, last: 0, lists: 0 };

const LISTS_MS = 200; // lists follow so often while it plays

// Draws with the next frame, and goes on while something moves.
function wake() {
  if (loop.awake || model.plan === null) return;
  loop.awake = true;
  loop.last = performance.now();
  requestAnimationFrame(frame);
}

function frame(when) {
  const elapsed = Math.min(Math.max(when - loop.last, 0), 250);
  loop.last = when;
  if (player.playing) advance(elapsed, when);
  const moves = draw(elapsed, when);
  showInstant();
  if (player.playing && when - loop.lists > LISTS_MS) {
    loop.lists = when;
    showLists();
    keep();
  }
  if (player.playing || moves || view.stale) requestAnimationFrame(frame);
  else loop.awake = false;
}

// Brings everything up to date after something that a person did.
function settle() {
  showLists();
  keep();
  view.stale = true;
  wake();
}

function showLists() {
  proposeAct();
  showNodes();
  showEvents();
  markHandover();
  showNode();
  askNode();
}

function showInstant() {
  const seconds = toSeconds(model.now);
  const field = at("instant"), scrub = at("scrub");
  if (document.activeElement !== field) {
    const text = seconds.toFixed(6);
    if (field.value !== text) field.value = text;
  }
  const end = axisEnd();
  if (Number(scrub.max) !== end) scrub.max = String(end);
  if (!scrub.matches(":active")) scrub.value = String(model.now);
  const spoken = `${seconds.toFixed(3)} seconds`;
  if (!player.playing && scrub.getAttribute("aria-valuetext") !== spoken) scrub.setAttribute("aria-valuetext", spoken);
  show("of", `of ${toSeconds(end).toFixed(3)} s, event ${model.number} of ${model.extent.count}`);
  at("live").hidden = model.extent.condition !== "growing";
  drawMarks();
}

let keeping = null; // browsers complain of an address that changes with every frame

// The instant and the node stand in the address, which can be given to others.
function keep() {
  keeping ??= setTimeout(() => {
    keeping = null;
    writeHash();
  }, 150);
}

function writeHash() {
  if (opening !== null || player.back !== null) return; // it is not gone to yet
  const node = model.selected === null ? "" : `&node=${encodeURIComponent(model.selected)}`;
  const hash = `#t=${toSeconds(Math.round(model.now)).toFixed(9)}${node}`;
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

function fromHash(hash = location.hash) {
  const asked = new URLSearchParams(hash.slice(1));
  const t = parseFloat(asked.get("t") ?? "");
  const node = asked.get("node");
  model.selected = model.byName.has(node) ? node : null;
  return Number.isFinite(t) ? { t: toInstant(t) } : { t: start() };
}

const KEYS_DO = {
  " ": () => (player.playing ? pause() : play()),
  ArrowRight: step,
  ArrowLeft: stepBack,
  n: nextHandover,
  p: previousHandover,
  "+": () => setSpeed(at("speed").selectedIndex + 1),
  "-": () => setSpeed(at("speed").selectedIndex - 1),
  Home: () => seek({ number: 0 }),
  End: () => seek({ number: model.extent.count }),
  l: () => (model.extent.condition === "growing" ? live() : null),
  h: hold,
  Escape: () => select(null),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const on = event.target;
  // What has keys of its own keeps them.
  if (on.matches("select, input:not([type=range])")) return;
  if (on.matches("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  if (on.matches("button, summary, a") && (event.key === " " || event.key === "Enter")) return;
  const act = KEYS_DO[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function wire() {
  at("play").addEventListener("click", KEYS_DO[" "]);
  at("step").addEventListener("click", step);
  at("back").addEventListener("click", stepBack);
  at("next").addEventListener("click", nextHandover);
  at("previous").addEventListener("click", previousHandover);
  at("live").addEventListener("click", live);
  at("hold").addEventListener("click", hold);
  wireActs();
  at("pace").addEventListener("change", setPace);
  at("scrub").addEventListener("input", () => seek({ t: Number(at("scrub").value) }));
  at("instant").addEventListener("change", () => {
    const seconds = parseFloat(at("instant").value);
    pause();
    seek({ t: Number.isFinite(seconds) ? Math.min(toInstant(seconds), knownUntil()) : model.now });
  });
  at("speed").append(...SPEEDS.map(speed => make("option", speed === Infinity ? "as fast as it goes" : `×${speed}`)));
  setSpeed(SPEEDS.indexOf(1));
  at("speed").addEventListener("change", () => setSpeed(at("speed").selectedIndex));
  view.canvas.addEventListener("click", event => select(nodeAt(event.offsetX, event.offsetY)));
  view.canvas.addEventListener("mousemove", event => {
    const hovered = nodeAt(event.offsetX, event.offsetY);
    if (hovered === view.hovered) return;
    view.hovered = hovered;
    view.stale = true;
    wake();
  });
  document.addEventListener("keydown", onKey);
  at("lists").addEventListener("keydown", alongList);
  at("lists").addEventListener("focusin", isReached);
  addEventListener("hashchange", () => {
    pause();
    seek(fromHash());
  });
  addEventListener("resize", () => {
    view.snap = view.stale = true;
    wake();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    wake();
  });
}

let opening = null; // what the address asked for, which may be further on than has been read

// Goes to where the address says once that has been read, unless somebody went elsewhere meanwhile.
function goOn() {
  if (opening === null || !model.extent.read) return;
  const { hash, epoch, number } = opening;
  opening = null;
  if (epoch === player.epoch && number === model.number && !player.playing) seek(fromHash(hash));
}

async function begin() {
  readColours();
  await reload();
  wire();
  const { hash } = location;
  if (!model.extent.read) opening = { hash };
  await seek(fromHash(hash));
  if (opening !== null) Object.assign(opening, { epoch: player.epoch, number: model.number });
  lookAgain();
  // Who opens the page of a run that is held for them wants to see it go on.
  if (hash === "" && model.extent.pace) live();
}

begin().catch(complain);
