// CoAP over a WebSocket as the page has it, before a connection that comes and goes: see browser.rs.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const vm = require('node:vm');

class Connection {
    static OPEN = 1;
    readyState = 0;
    sent = [];
    send(bytes) { this.sent.push(bytes); }
    close() { this.readyState = 2; }
    opens() {
        this.readyState = 1;
        this.onopen();
    }
    goes() {
        this.readyState = 3;
        this.onclose();
    }
}

const source = fs.readFileSync(process.argv[2], 'utf8');
const ByCoap = vm.runInNewContext(`${source};ByCoap`, { WebSocket: Connection, location: { host: 'test' }, TextEncoder, TextDecoder });

async function main() {
    const gone = { code: '5.04', ok: false, text: 'the connection is gone', id: undefined };
    const same = said => assert.deepStrictEqual({ ...said }, gone);
    const told = [], changes = [];
    let way = new ByCoap(is => changes.push(is));
    const early = way.ask('GET', '/early');
    way.socket.opens();
    const asked = way.ask('GET', 'coap://[::1]/a');
    way.follow('/nodes', what => told.push(what));
    way.socket.goes();
    same(await early);
    same(await asked);
    same(await way.ask('GET', '/late'));
    assert.deepStrictEqual(changes, [true, false]);
    // What is followed goes on with the next connection.
    assert.deepStrictEqual(told, []);
    way = new ByCoap(() => assert.fail('it was closed on purpose'));
    const unopened = way.ask('GET', '/a');
    way.close();
    same(await unopened);
}

// What waits for ever ends the program before main has.
let isDone = false;
main().then(() => { isDone = true; });
process.on('exit', code => { if (code === 0 && !isDone) process.exitCode = 1; });
