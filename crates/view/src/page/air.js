// Frames on the air, where the run has a capture of it and time goes slowly enough to see them.

const FRAMES = 2000; // that are fetched at a time
const FRAMES_AT_ONCE = 12; // of those of one drawing: the others are not shown
const FASTEST = 10; // at which they are shown

const air = {
  queue: [],
  head: 0,
  next: null, // from which instant on the next ones are asked for; null: from now on
  asking: false,
  over: false, // there are no more
  again: 0, // when it is asked again, if none were read yet: milliseconds of the wall's
};

// After a jump.
function clearAir() {
  Object.assign(air, { queue: [], head: 0, next: null, over: model.plan.medium !== "phy" });
}

async function fillAir() {
  if (air.over || air.asking || performance.now() < air.again || air.queue.length - air.head > FRAMES / 4) return;
  air.asking = true;
  const epoch = player.epoch;
  try {
    const { names, frames, read } = await ask(`/frames?from=${absolute(Math.max(air.next ?? model.now, model.now))}&limit=${FRAMES}`);
    if (epoch === player.epoch) {
      air.names = names;
      air.queue = air.queue.slice(air.head).concat(frames);
      air.head = 0;
      if (frames.length) air.next = frames[frames.length - 1][0] + 1;
      air.over = read && frames.length < FRAMES;
      air.again = performance.now() + (read || frames.length ? 0 : 500);
    }
  } catch (error) {
    complain(error);
  }
  air.asking = false;
}

// Shows those between two instants, if they are few, and otherwise some.
function showFrames(from, to, when) {
  if (player.speed > FASTEST) {
    if (air.next !== null) clearAir();
    return;
  }
  const due = [];
  while (air.head < air.queue.length && air.queue[air.head][0] <= to) {
    const frame = air.queue[air.head++];
    if (frame[0] > from) due.push(frame);
  }
  const every = Math.ceil(due.length / FRAMES_AT_ONCE);
  for (let i = 0; i < due.length; i += every) {
    const [, sender, receiver, received] = due[i];
    const one = { from: air.names[sender], bad: !received, frame: true, when };
    if (receiver !== null) one.to = air.names[receiver];
    if (view.flashes.length < MOST_FLASHES) view.flashes.push(one);
  }
  fillAir();
}
