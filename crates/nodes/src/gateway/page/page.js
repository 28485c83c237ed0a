const at = id => document.getElementById(id);
// What stands in the log: states come fast, and would leave no place for the rest.
const KEPT = { state: 10, other: 30 };
const WAYS = { ws: ByCoap, http: ByHttp };

let way;
let nodes = new Map();
let stopFollowing = null;
let again = null;
// What is drawn with the next picture: no eye sees more.
let drawn = null;
let entries = [];
let last = 0;

const chosen = () => document.querySelector('input[name=way]:checked').value;
const uri = () => at('uri').value.trim();
const base = text => /^coap:\/\/[^/?]*/.exec(text)?.[0] ?? '';

// The choice stands in the address, so that a page that is loaded again goes on.
function remember(follows) {
    const choice = new URLSearchParams({ way: chosen(), uri: uri(), follows: follows ? '1' : '' });
    history.replaceState(null, '', '#' + choice);
}

function draw() {
    if (drawn !== null) return;
    drawn = requestAnimationFrame(() => {
        drawn = null;
        const rows = entries.map(({ cells }) => {
            const row = document.createElement('tr');
            for (const cell of cells) row.insertCell().textContent = cell;
            return row;
        });
        at('log').replaceChildren(...rows);
    });
}

function note(what, code, ms, text, id = '') {
    const kind = what === 'state' ? 'state' : 'other';
    const cells = [new Date().toLocaleTimeString(), what, code, ms === null ? '' : `${ms.toFixed(0)} ms`, text.slice(0, 60), id];
    entries.unshift({ kind, cells });
    const alike = entries.filter(entry => entry.kind === kind);
    if (alike.length > KEPT[kind]) entries.splice(entries.indexOf(alike.at(-1)), 1);
    draw();
}

function show(what, said, ms) {
    if (said.ok && ['GET', 'state'].includes(what)) {
        at('value').textContent = said.text;
        at('value').dataset.long = said.text.length > 24 ? '1' : '';
    }
    const time = (ms === null ? '' : `, ${ms.toFixed(0)} ms`) + (said.id === undefined ? '' : `, Message ID ${said.id}`);
    at('about').textContent = said.ok ? `${what}: ${said.code}${time}` : `${what}: ${said.code}${time}: ${said.text}`;
    note(what, said.code, ms, said.text, said.id);
}

const didNotCome = (count, node) => `${count} ${count === 1 ? 'notification' : 'notifications'} of ${node.name} did not come`;

// Which resource is asked, whether its node is on its way, and where it is.
function place() {
    at('resource').value = uri();
    const node = nodes.get(base(uri()));
    const state = at('state');
    const held = node !== undefined && node.held_for_s !== null;
    state.dataset.state = held ? 'hold' : node?.at ? 'bound' : '';
    const text = held ? `hold: ${node.name} is on its way or asleep, and requests wait` : node?.at ? `${node.name} is bound at ${node.at}` : '';
    if (state.textContent !== text) state.textContent = text;
    const missing = node?.missed ? didNotCome(node.missed, node) : '';
    if (at('missed').textContent !== missing) at('missed').textContent = missing;
}

function moved(node) {
    const former = nodes.get(node.uri);
    nodes.set(node.uri, node);
    if (former === undefined || base(uri()) !== node.uri) return;
    const was = former.held_for_s !== null, is = node.held_for_s !== null;
    if (is && !was) note('hold', '', null, `${node.name} is on its way or asleep`);
    const missed = node.missed - former.missed;
    if (missed > 0) note('missed', '', null, didNotCome(missed, node));
    if (was && !is || former.at !== node.at && node.at) note('binding', '', null, node.at ? `${node.name} is at ${node.at}` : `${node.name} is back`);
}

function heardOfNodes(what, told) {
    if (what !== 'state') {
        moved(told);
        return place();
    }
    if (!told.ok) return;
    const known = JSON.parse(told.text);
    at('write').hidden = !known.write;
    for (const node of known.nodes) moved(node);
    const select = at('node');
    if (select.options.length === 0) {
        for (const node of known.nodes) select.add(new Option(node.name, node.uri));
        select.add(new Option('another URI', ''));
        select.value = nodes.has(base(uri())) || uri() === '' ? base(uri()) || select.options[0].value : '';
        discover();
    }
    place();
}

// Offers what the node has.
async function discover() {
    const node = at('node').value, select = at('resource');
    select.replaceChildren();
    if (node === '') return;
    const said = await way.ask('GET', node + '/.well-known/core').catch(failed);
    if (!said?.ok || at('node').value !== node) return;
    for (const [, path, attributes] of said.text.matchAll(/<([^>]*)>((?:;[^;,"=]+(?:=(?:"(?:[^"\\]|\\.)*"|[^;,"]*))?)*)/g)) {
        const option = new Option(path, node + path);
        option.dataset.follows = /;obs(;|$|=)/.test(attributes) ? '1' : '';
        select.add(option);
    }
    if (uri() === '' && select.options.length > 0) {
        // What changes is shown first.
        select.value = ([...select.options].find(option => option.dataset.follows) ?? select.options[0]).value;
        choose();
    }
    select.value = uri();
}

function choose() {
    at('uri').value = at('resource').value;
    if (at('resource').selectedOptions[0]?.dataset.follows) follow();
    else {
        stop();
        read();
    }
}

function failed(error) {
    at('about').textContent = error.message;
}

async function timed(method, text) {
    place();
    const begun = performance.now(), target = uri();
    try {
        const said = await way.ask(method, target, text);
        if (target === uri()) show(method, said, performance.now() - begun);
    } catch (error) {
        failed(error);
    }
}

const read = () => timed('GET');

function follow() {
    stop();
    place();
    remember(true);
    at('stop').disabled = false;
    last = performance.now();
    stopFollowing = way.follow(uri(), (what, told) => {
        const now = performance.now();
        show('state', told, now - last);
        last = now;
        if (told.ends) stop();
    });
}

function stop() {
    stopFollowing?.();
    stopFollowing = null;
    at('stop').disabled = true;
    remember(false);
}

// Begins anew by the way that is chosen.
function begin(follows) {
    clearTimeout(again);
    way?.close();
    stopFollowing = null;
    way = new WAYS[chosen()](isThere => {
        at('link').textContent = isThere ? `asked by ${chosen() === 'ws' ? 'CoAP over a WebSocket' : 'HTTP'}` : 'the gateway is not there: it is tried again';
        // An event stream connects again by itself.
        if (!isThere && chosen() === 'ws') again = setTimeout(() => begin(stopFollowing !== null), 1000);
    });
    way.follow('/nodes', heardOfNodes);
    if (follows && uri() !== '') follow();
    else if (at('node').value !== '' && at('resource').options.length === 0) discover();
}

at('ask').addEventListener('submit', event => {
    event.preventDefault();
    if (uri() !== '') follow();
});
at('read').addEventListener('click', read);
at('stop').addEventListener('click', stop);
at('resource').addEventListener('change', choose);
at('node').addEventListener('change', () => {
    at('uri').value = '';
    stop();
    place();
    discover();
});
for (const radio of document.querySelectorAll('input[name=way]')) {
    radio.addEventListener('change', () => {
        const follows = stopFollowing !== null;
        remember(follows);
        begin(follows);
    });
}
at('write').addEventListener('submit', event => {
    event.preventDefault();
    timed(at('method').value, at('method').value === 'DELETE' ? '' : at('payload').value);
});

const choice = new URLSearchParams(location.hash.slice(1));
if (Object.hasOwn(WAYS, choice.get('way'))) document.querySelector(`input[name=way][value=${choice.get('way')}]`).checked = true;
at('uri').value = choice.get('uri') ?? '';
begin(choice.get('follows') === '1');
