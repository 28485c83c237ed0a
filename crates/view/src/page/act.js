// What somebody wants to happen in the run: a step of the scenario at the instant that is shown.

const isDown = node => currentLinks().crashed.has(node.name);
const isRadio = node => node.place === "radio";
const hasPlace = node => position(node, 0) !== null;

// What happens, the step that it is, and to which nodes it can.
const ACTS = [
  ["its daemon crashes", node => `crash: ${node.name}`, node => !isDown(node)],
  ["its daemon starts again", node => `restart: ${node.name}`, isDown],
  ["its link is gone", node => `link: [${node.name}, ${routerOf(node)}], state: down`, isRadio],
  ["its link is there again", node => `link: [${node.name}, ${routerOf(node)}], state: up`, isRadio],
  ["its link is weaker", node => `link: [${node.name}, ${routerOf(node)}], attenuation: 90 dB`, isRadio],
  ["it goes there", node => `move: ${node.name}, to: [${there(node)}], speed: 1.5 m/s`, hasPlace],
];

const act = { proposed: null }; // what stands in the field, unless somebody has changed it

// The node that is meant: the selected one, else the first that moves or has a radio.
function actor() {
  return model.byName.get(model.selected) ?? model.plan.nodes.find(node => node.place === "radio") ?? model.plan.nodes[0];
}

function routerOf(node) {
  return attachment(node).router ?? model.routers.find(name => name !== node.name) ?? "ROUTER";
}

// A place near to where it is.
function there(node) {
  const [x, y] = position(node, toSeconds(model.now)) ?? [0, 0];
  return `${Math.round(x) + 10} m, ${Math.round(y)} m`;
}

function showActs() {
  const { steps, command } = model.extent;
  at("act").hidden = !steps;
  at("again").hidden = !command;
  show("command", command ?? "");
  show("verify", command?.replace(/^wpanlab run/, "wpanlab verify") ?? "");
  if (steps) proposeAct();
}

// The step for the node and the instant that are shown; what somebody has written stays.
function proposeAct() {
  if (!model.extent.steps || !at("act").open) return;
  const field = at("act-step");
  if (act.proposed !== null && field.value !== act.proposed) return;
  const node = actor(), select = at("act-what");
  ACTS.forEach(([, , can], i) => (select.options[i].disabled = !can(node)));
  if (select.selectedOptions[0]?.disabled !== false) select.selectedIndex = ACTS.findIndex(([, , can]) => can(node));
  const [, step] = ACTS[select.selectedIndex];
  const seconds = Math.min(Math.max(0, toSeconds(Math.round(model.now))), model.plan.duration_s).toFixed(9).replace(/\.?0+$/, "");
  act.proposed = `{ at: ${seconds} s, ${step(node)} }`;
  if (field.value !== act.proposed) field.value = act.proposed;
}

function choose() {
  act.proposed = null;
  proposeAct();
}

// Whoever wants something to happen now looks at this instant.
function unfold() {
  if (!at("act").open) return;
  pause();
  proposeAct();
}

async function letHappen() {
  const button = at("act-do");
  if (button.disabled) return;
  button.disabled = true;
  show("act-refused", "");
  try {
    const at_ns = Math.max(0, Math.round(model.now) - start());
    const answer = await fetch("/steps", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ step: at("act-step").value, at_ns }),
    });
    const value = await answer.json();
    if (!answer.ok) throw new Error(value.reason);
    act.proposed = null;
    say("The run begins again with this step. Live goes with it.");
    follow();
  } catch (error) {
    show("act-refused", error.message);
  }
  button.disabled = false;
}

function wireActs() {
  at("act-what").append(...ACTS.map(([what]) => make("option", what)));
  at("act-what").addEventListener("change", choose);
  at("act").addEventListener("toggle", unfold);
  at("act-do").addEventListener("click", letHappen);
  at("act-step").addEventListener("keydown", event => {
    if (event.key === "Enter" && !event.repeat) letHappen();
  });
}
