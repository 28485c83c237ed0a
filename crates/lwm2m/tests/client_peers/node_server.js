// An LwM2M server by lwm2m-node-lib, at the port that is its first argument. Each line of its input is an operation, as JSON:
// {"id", "operation", "path", "value"}. Each line of its output is what it was asked, what came of an operation, or a
// notification. It ends when its input does.
'use strict';

const lib = require('lwm2m-node-lib').server;

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');
const formats = [
    { name: 'application-vnd-oma-lwm2m/text', value: 1541 },
    { name: 'application-vnd-oma-lwm2m/tlv', value: 1542 },
];
const config = {
    port: Number(process.argv[2]),
    lifetimeCheckInterval: 1000,
    udpWindow: 100,
    defaultType: 'Device',
    logLevel: 'FATAL',
    ipProtocol: 'udp6',
    serverProtocol: 'udp6',
    formats,
    writeFormat: formats[0].name,
    defaultAcceptFormat: 'text/plain',
};

lib.start(config, (error, server) => {
    if (error) throw error;
    let device = null;
    lib.setHandler(server, 'registration', (endpoint, lifetime, version, binding, payload, callback) => {
        say({ asked: 'register', endpoint, lifetime, version, binding, payload });
        callback();
    });
    lib.setHandler(server, 'updateRegistration', (known, payload, callback) => {
        say({ asked: 'update', lifetime: known.lifetime, payload });
        callback();
    });
    say({ ready: true });
    const operate = ({ id, operation, path, value }) => {
        const done = (error, result) => say({ done: id, error: error ? error.name : null, result: error ? error.message : result || null });
        const told = (payload) => say({ notified: id, result: payload });
        const more = { write: [value], execute: [value], writeAttributes: [value], observe: [told] }[operation] || [];
        lib[operation](device, ...path, ...more, done);
    };
    require('readline')
        .createInterface({ input: process.stdin })
        .on('line', (line) => {
            if (device !== null) return operate(JSON.parse(line));
            lib.getDevice('device', (error, known) => {
                device = known.id;
                operate(JSON.parse(line));
            });
        })
        .on('close', () => process.exit(0));
});
