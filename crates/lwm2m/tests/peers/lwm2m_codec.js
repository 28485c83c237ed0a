// lwm2m-codec behind a pipe: a case a line in, an answer a line out, all in JSON.
// In: {"op": "encode", "type", "path", "value"} or {"op": "decode", "type", "path", "hex"}.
// Out: {"hex"}, {"value"} or {"error"}. Resources have their numbers, not lwm2m-codec's names.
'use strict';

const [modules] = process.argv.slice(2);
const codec = require(modules + '/lwm2m-codec');
const ids = require(modules + '/lwm2m-id');

const isObject = (value) => value !== null && typeof value === 'object';

// The keys of a decoded value as numbers; `depth` levels of IDs stand in the path already.
function numbered(object, value, depth) {
    if (!isObject(value)) return value;
    const named = {};
    for (const [key, below] of Object.entries(value)) {
        const item = depth === 2 ? ids.getRid(object, key) : undefined;
        named[item ? item.value : key.replace(/^\//, '')] = numbered(object, below, depth + 1);
    }
    return named;
}

function answer(request) {
    const { op, type, path } = request;
    if (op === 'encode') return { hex: codec.encode(type, path, request.value).toString('hex') };
    const segments = path.split('/').slice(1);
    const value = codec.decode(type, path, Buffer.from(request.hex, 'hex'));
    return { value: numbered(segments[0], value, segments.length) };
}

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    let result;
    try {
        result = answer(JSON.parse(line));
    } catch (error) {
        result = { error: String(error) };
    }
    console.log(JSON.stringify(result));
});
