// The clock of this page: it goes at its own speed through events that are fetched ahead.

const SPEEDS = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 100, Infinity];

const AHEAD = 4000; // events that are fetched at a time
const FRAME_MS = 9; // so long a frame takes events in at most

const player = {
  playing: false,
  speed: 1,
  queue: [], // events that come next
  head: 0, // of those, the first that is not taken yet
  next: 0, // number of the event after the queue
  epoch: 0, // raised by every jump: what was asked before it is of no use
  filling: false,
  filled: null, // when it is not any more
  wanted: null, // where to jump
  seeking: false,
  sought: null, // when it is not any more
  aim: null, // where it jumps to
  back: null, // the instant to go back to once files that became others are read that far
  handover: -1, // place of the handover that was gone to
  stream: null, // of a run that goes on
  growing: false,
  grown: null, // how much there is, and that is not learned yet
  look: null, // when it is looked again whether there is more
};

function complain(error) {
  show("notice", `wpanlab view does not answer: ${error.message}`);
}

function say(text) {
  at("said").textContent = text;
}

// Fetches what comes next, if little of it is here. Who waits for it waits for what is under way, too.
function fill() {
  const { filling, seeking, back, queue, head, next } = player;
  const enough = queue.length - head > AHEAD / 2 || next >= model.extent.count;
  if (!filling && !seeking && back === null && !enough) player.filled = fetchMore();
  return player.filled;
}

async function fetchMore() {
  player.filling = true;
  const epoch = player.epoch;
  try {
    const { events, generation } = await ask(`/events?number=${player.next}&limit=${AHEAD}`);
    if (generation !== model.extent.generation) await reload();
    else if (epoch === player.epoch) push(events);
  } catch (error) {
    complain(error);
    pause();
  }
  player.filling = false;
  goBack();
}

function push(events) {
  for (const one of events) {
    if (one.n !== player.next) continue;
    player.queue.push(one);
    player.next += 1;
  }
}

// Takes the event that comes next.
function takeNext(when) {
  const one = player.queue[player.head++];
  if (player.head > 4 * AHEAD) {
    player.queue = player.queue.slice(player.head);
    player.head = 0;
  }
  take(one);
  flash(one.event, when);
  return one;
}

// Lets time pass: milliseconds of the wall's.
function advance(elapsed, when) {
  if (player.seeking || player.back !== null) return;
  const before = model.now, end = knownUntil();
  const all = player.next >= model.extent.count;
  const horizon = all ? end : player.queue[player.queue.length - 1]?.t ?? model.now;
  const wanted = player.speed === Infinity ? horizon : Math.min(model.now + elapsed * 1e6 * player.speed, Math.max(horizon, model.now));
  const begun = performance.now();
  let late = false;
  while (player.head < player.queue.length && player.queue[player.head].t <= wanted) {
    model.now = Math.max(model.now, takeNext(when).t);
    if (performance.now() - begun > FRAME_MS) {
      late = true;
      break;
    }
  }
  if (!late) model.now = Math.max(model.now, wanted);
  showFrames(before, model.now, when);
  fill();
  if (all && player.head >= player.queue.length && model.now >= end && model.extent.condition !== "growing") {
    pause();
    say("The run ends here.");
  }
}

function play() {
  if (model.extent.condition !== "growing" && model.now >= model.extent.end_ns) seek({ number: 0 });
  player.playing = true;
  showPlaying();
  wake();
}

function pause() {
  if (!player.playing) return;
  player.playing = false;
  showPlaying();
  settle();
}

function showPlaying() {
  const text = player.playing ? "Pause" : "Play";
  if (at("play").textContent !== text) at("play").textContent = text;
}

// Jumps to `{t}`, nanoseconds after the first event, or to after `{number}` events. Of several jumps the last counts.
function seek(where) {
  player.wanted = player.aim = where;
  player.back = null;
  if (!player.seeking) player.sought = goThere();
  return player.sought;
}

async function goThere() {
  player.seeking = true;
  try {
    while (player.wanted !== null) {
      const wanted = player.wanted;
      player.wanted = null;
      player.epoch += 1;
      const t = wanted.t === undefined ? undefined : Math.min(Math.max(wanted.t, 0), knownUntil());
      const query = t === undefined ? `number=${wanted.number}` : `at=${absolute(t)}`;
      const state = await ask(`/state?${query}`);
      const before = Math.max(0, state.number - LOG);
      const { events } = state.number ? await ask(`/events?number=${before}&limit=${LOG}`) : { events: [] };
      if (state.generation !== model.extent.generation) {
        await reload();
        player.wanted ??= wanted;
        // As far as that is read at once.
        player.back = player.wanted.t ?? null;
        continue;
      }
      Object.assign(player, { queue: [], head: 0, next: state.number });
      Object.assign(model, { nodes: bare(state.nodes), number: state.number, now: t ?? state.t });
      model.log = events.filter(one => one.n < state.number);
      links.steps = -1;
      view.flashes = [];
      view.snap = true;
      clearAir();
    }
  } catch (error) {
    complain(error);
  }
  player.seeking = false;
  goBack();
  fill();
  settle();
}

// Goes back to where one was when the files became others, once they are read that far.
function goBack() {
  const { back, seeking } = player;
  const { read, condition } = model.extent;
  const whole = read && condition !== "growing";
  if (back !== null && !seeking && (whole || knownUntil() >= back)) seek({ t: back });
}

// One event on.
async function step() {
  pause();
  while (player.seeking) await player.sought;
  await fill();
  // What was under way before a jump brought nothing.
  await fill();
  // A run that stands still goes on to its next one.
  if (player.head >= player.queue.length && model.extent.pace?.paused) await further();
  if (player.head >= player.queue.length) {
    say("There is no further event.");
    return;
  }
  const one = takeNext(performance.now());
  model.now = Math.max(model.now, one.t);
  settle();
  say(`${one.event.node}: ${words(one.event)}, at ${toSeconds(one.t).toFixed(6)} s`);
}

async function stepBack() {
  pause();
  while (player.seeking && player.aim.number === undefined) await player.sought;
  const number = player.seeking ? player.aim.number : model.number;
  await seek({ number: Math.max(0, number - 1) });
  const last = model.log[model.log.length - 1];
  say(last ? `Back to ${last.event.node}: ${words(last.event)}` : "Before the first event.");
}

function toHandover(index) {
  const told = model.handovers[index];
  if (!told) {
    say("There is no further handover.");
    return;
  }
  pause();
  player.handover = index;
  select(told.node);
  say(`Handover ${told.number} of ${told.node}, from ${told.from}`);
  seek({ t: told.started_ns });
}

// Where one is, or will be soon: the instant, and the place of the handover that was gone to, if it starts then.
function standing() {
  const now = Math.round(player.seeking ? player.aim.t ?? model.now : model.now);
  const { handover } = player;
  return { now, handover: model.handovers[handover]?.started_ns === now ? handover : -1 };
}

function nextHandover() {
  const { now, handover } = standing();
  const later = model.handovers.findIndex(told => told.started_ns > now);
  toHandover(handover >= 0 ? handover + 1 : later < 0 ? model.handovers.length : later);
}

function previousHandover() {
  const { now, handover } = standing();
  toHandover(handover >= 0 ? handover - 1 : model.handovers.findLastIndex(told => told.started_ns < now));
}

function setSpeed(index) {
  if (index < 0 || index >= SPEEDS.length) return;
  player.speed = SPEEDS[index];
  at("speed").selectedIndex = index;
}

// To where the run is. One that is held is ahead of its clock.
async function live() {
  if (model.extent.pace) await ask("/extent").then(grown).catch(complain);
  const { pace } = model.extent;
  const held = pace?.holds && pace.speed !== null;
  const slower = SPEEDS.findLastIndex(speed => speed <= pace?.speed);
  setSpeed(held ? Math.max(slower, 0) : SPEEDS.length - 1);
  seek(held ? { t: start() + pace.at_ns } : { number: model.extent.count }).then(play);
}

function select(name) {
  model.selected = name;
  view.stale = true;
  settle();
}

// The run itself again: it ended, or its files are others.
async function reload() {
  const { generation } = model.extent ?? {};
  setRun(await ask("/run"));
  setArea();
  makeNodes();
  makeHandovers();
  makeFixed();
  showHead();
  if (generation !== undefined && generation !== model.extent.generation) {
    Object.assign(player, { queue: [], head: 0, next: 0, epoch: player.epoch + 1 });
    Object.assign(model, { nodes: bare({}), number: 0, log: [] });
    player.back = model.now;
    clearAir();
  }
  view.stale = true;
}

// Learns how much there is now; of what comes meanwhile the last counts.
async function grown(extent) {
  player.grown = extent;
  if (player.growing) return;
  player.growing = true;
  try {
    while (player.grown !== null) {
      const latest = player.grown;
      player.grown = null;
      await learn(latest);
    }
  } finally {
    player.growing = false;
  }
}

async function learn(extent) {
  const before = model.extent;
  if (extent.generation !== before.generation || extent.condition !== before.condition) {
    await reload();
  } else {
    if (extent.handovers !== before.handovers || extent.ended_handovers !== before.ended_handovers) {
      setRun(await ask("/run"));
      makeHandovers();
    }
    model.extent = extent;
    showHead();
  }
  goOn();
  goBack();
  wake();
}

const LOOK_MS = 500;

// Soon, if there may be more: also of a run that is over and that somebody can have begin again.
function lookAgain() {
  const { read, condition, steps } = model.extent;
  clearTimeout(player.look);
  if (!read || condition === "growing" || steps) player.look = setTimeout(follow, LOOK_MS);
}

// Follows what is read still, and a run that goes on. How far a held one is without that anything happens no event says.
async function follow() {
  try {
    if (player.stream === null || model.extent.pace?.holds) {
      await grown(await ask("/extent"));
      if (player.stream === null && model.extent.read && model.extent.condition === "growing") listen();
    }
  } catch (error) {
    complain(error);
  }
  lookAgain();
}

function listen() {
  const stream = new EventSource(`/events?number=${model.extent.count}`);
  player.stream = stream;
  const end = () => {
    stream.close();
    player.stream = null;
  };
  stream.addEventListener("happened", message => {
    const one = JSON.parse(message.data);
    const { extent } = model;
    if (one.n >= extent.count) Object.assign(extent, { count: one.n + 1, end_ns: one.t });
    // What comes next anyway need not be fetched.
    if (one.n === player.next && !player.seeking && !player.filling && player.queue.length - player.head < AHEAD) push([one]);
    wake();
  });
  stream.addEventListener("extent", message => grown(JSON.parse(message.data)).catch(complain));
  stream.addEventListener("over", message => {
    end();
    grown(JSON.parse(message.data)).catch(complain);
  });
  stream.addEventListener("reset", end);
  stream.addEventListener("problem", end);
  // One that was refused does not try again by itself; one that was lost does.
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) end();
  });
}
