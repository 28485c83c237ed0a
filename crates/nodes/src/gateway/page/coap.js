'use strict';
// Two ways to ask. Both have ask(method, uri, text), which promises { code, ok, text, id }, and follow(uri, hear), which
// gives a function that ends it. A uri is a node's, coap://…, or a path of the gateway's own. hear(what, told) is
// told each state as ('state', { code, ok, text, id, ends }), the last one with ends, and other events by their names.
// id: the Message ID that the gateway tells of what the node said; undefined of what the gateway says.

const METHODS = { GET: 1, POST: 2, PUT: 3, DELETE: 4 };
const OBSERVE = 6, URI_PATH = 11, CONTENT_FORMAT = 12, BLOCK2 = 23, PROXY_URI = 35, MESSAGE_ID = 65000;
const CSM = 0xe1, PING = 0xe2, PONG = 0xe3, RELEASE = 0xe4, ABORT = 0xe5;
const GATEWAY_TIMEOUT = 0xa4;
const MAX_PAYLOAD = 1024;

const number = bytes => bytes.reduce((sum, byte) => sum * 256 + byte, 0);
const uint = value => value === 0 ? [] : [...uint(Math.floor(value / 256)), value % 256];

// The bytes as text, or where they are none in hexadecimal digits.
function legible(bytes) {
    try {
        return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
        return '0x' + [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('');
    }
}

// A message (RFC 8323 §4.2); options: pairs of number and bytes.
function encode(code, token, options = [], payload = []) {
    const bytes = [token.length, code, ...token];
    const part = size => size < 13 ? [size, []] : size < 269 ? [13, [size - 13]] : [14, [size - 269 >> 8, size - 269 & 255]];
    let former = 0;
    for (const [option, value] of [...options].sort((a, b) => a[0] - b[0])) {
        const [delta, more] = part(option - former), [length, longer] = part(value.length);
        bytes.push(delta << 4 | length, ...more, ...longer, ...value);
        former = option;
    }
    if (payload.length > 0) bytes.push(0xff, ...payload);
    return new Uint8Array(bytes);
}

function decode(bytes) {
    const message = { code: bytes[1], token: bytes.slice(2, 2 + bytes[0]), options: new Map(), payload: new Uint8Array() };
    let at = 2 + bytes[0], option = 0;
    const size = nibble => nibble < 13 ? nibble : nibble === 13 ? 13 + bytes[at++] : 269 + (bytes[at++] << 8 | bytes[at++]);
    while (at < bytes.length) {
        const first = bytes[at++];
        if (first === 0xff) {
            message.payload = bytes.slice(at);
            break;
        }
        option += size(first >> 4);
        const length = size(first & 15);
        message.options.set(option, bytes.slice(at, at + length));
        at += length;
    }
    return message;
}

// CoAP over a WebSocket (RFC 8323).
class ByCoap {
    constructor(changed) {
        this.asked = new Map();
        // Of those the ones that have one answer, and wait for it.
        this.waits = new Set();
        this.next = 1;
        this.socket = new WebSocket(`ws://${location.host}/.well-known/coap`, 'coap');
        this.socket.binaryType = 'arraybuffer';
        this.ready = new Promise(resolve => {
            this.socket.onopen = () => {
                this.socket.send(encode(CSM, []));
                changed(true);
                resolve();
            };
        });
        this.socket.onmessage = event => this.hear(decode(new Uint8Array(event.data)));
        this.socket.onclose = () => {
            this.end();
            changed(false);
        };
    }

    // The connection is gone, and no answer comes any more.
    end() {
        const gone = { code: GATEWAY_TIMEOUT, token: [], options: new Map(), payload: new TextEncoder().encode('the connection is gone') };
        for (const answer of [...this.waits]) answer(gone);
    }

    hear(message) {
        if (message.code === PING) this.socket.send(encode(PONG, message.token));
        if (message.code === RELEASE || message.code === ABORT) this.socket.close();
        if (message.code >> 5 !== 7) this.asked.get(number(message.token))?.(message);
    }

    async send(token, method, uri, options, payload) {
        await this.ready;
        const target = uri.startsWith('/') ? uri.slice(1).split('/').map(part => [URI_PATH, part]) : [[PROXY_URI, uri]];
        const bytes = target.map(([option, text]) => [option, new TextEncoder().encode(text)]);
        if (this.socket.readyState === WebSocket.OPEN) this.socket.send(encode(METHODS[method], uint(token), [...bytes, ...options], payload));
    }

    // One message, and its answer.
    exchange(method, uri, options, payload) {
        const token = this.next++;
        return new Promise(resolve => {
            const answer = message => {
                this.asked.delete(token);
                this.waits.delete(answer);
                resolve(message);
            };
            this.asked.set(token, answer);
            this.waits.add(answer);
            if (this.socket.readyState > WebSocket.OPEN) this.end();
            else this.send(token, method, uri, options, payload);
        });
    }

    // The whole of an answer that comes in blocks (RFC 7959).
    async whole(uri, message) {
        const payload = [...message.payload];
        for (let last = message; last.options.has(BLOCK2);) {
            const block = number(last.options.get(BLOCK2));
            if ((block & 8) === 0) break;
            last = await this.exchange('GET', uri, [[BLOCK2, uint((block >> 4) + 1 << 4 | block & 7)]]);
            if (last.code >> 5 !== 2) return this.said(last, last.payload);
            payload.push(...last.payload);
        }
        return this.said(message, new Uint8Array(payload));
    }

    said(message, payload) {
        const kind = message.code >> 5, id = message.options.get(MESSAGE_ID);
        return { code: `${kind}.${String(message.code & 31).padStart(2, '0')}`, ok: kind === 2, text: legible(payload), id: id && number(id) };
    }

    async ask(method, uri, text = '') {
        const payload = new TextEncoder().encode(text);
        if (payload.length > MAX_PAYLOAD) throw new Error(`over ${MAX_PAYLOAD} bytes: by HTTP more can be sent`);
        const options = payload.length > 0 ? [[CONTENT_FORMAT, []]] : [];
        return this.whole(uri, await this.exchange(method, uri, options, payload));
    }

    follow(uri, hear) {
        const token = this.next++;
        this.asked.set(token, async message => {
            const told = await this.whole(uri, message);
            // What has no Observe option is an answer, and no state that is followed by others (RFC 7641 §3.1).
            if (this.asked.has(token)) hear('state', { ...told, ends: !message.options.has(OBSERVE) });
        });
        this.send(token, 'GET', uri, [[OBSERVE, []]]);
        return () => {
            this.asked.delete(token);
            this.send(token, 'GET', uri, [[OBSERVE, [1]]]);
        };
    }

    close() {
        this.socket.onclose = null;
        this.end();
        this.socket.close();
    }
}

// HTTP to CoAP (RFC 8075), and event streams.
class ByHttp {
    constructor(changed) {
        this.changed = changed;
        this.streams = new Set();
    }

    target(uri) {
        return uri.startsWith('/') ? uri : '/hc/' + uri.replaceAll('[', '%5B').replaceAll(']', '%5D');
    }

    async ask(method, uri, text = '') {
        const body = text === '' ? {} : { body: text, headers: { 'Content-Type': 'text/plain;charset=utf-8' } };
        const answer = await fetch(this.target(uri), { method, cache: 'no-store', ...body });
        return { code: String(answer.status), ok: answer.ok, text: legible(new Uint8Array(await answer.arrayBuffer())), id: answer.headers.get('coap-message-id') ?? undefined };
    }

    follow(uri, hear) {
        const stream = new EventSource(this.target(uri));
        this.streams.add(stream);
        const json = event => JSON.parse(event.data);
        stream.onopen = () => this.changed(true);
        stream.addEventListener('state', event => {
            const told = json(event);
            hear('state', { code: told.code, ok: told.code.startsWith('2'), text: told.value ?? '0x' + told.payload_hex, id: told.message_id });
        });
        stream.addEventListener('snapshot', event => hear('state', { code: '200', ok: true, text: event.data }));
        for (const name of ['hold', 'binding', 'missed']) stream.addEventListener(name, event => hear(name, json(event)));
        stream.addEventListener('error', event => {
            if (event.data === undefined && stream.readyState !== EventSource.CLOSED) return this.changed(false);
            const why = event.data === undefined ? { status: '', reason: 'it cannot be followed now, or at all: read it' } : json(event);
            stream.close();
            hear('state', { code: String(why.status), ok: false, text: why.reason, ends: true });
        });
        return () => {
            this.streams.delete(stream);
            stream.close();
        };
    }

    close() {
        for (const stream of this.streams) stream.close();
    }
}
