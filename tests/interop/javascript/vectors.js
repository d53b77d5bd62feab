// Plays the vectors of the specification against this client: `node vectors.js DIRECTORY` prints what applied and passed, as JSON.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ProtocolError, encode } from './cbor.js';
import { MESSAGES, PACKETS, Session, decodeBatch, decodeOne } from './hawser.js';

const CLOSE_CODES = { GOING_AWAY: 100, TIMEOUT: 101, FLOW: 102, UNAVAILABLE: 105, PROTOCOL_ERROR: 108, SESSION_ENDED: 200, NORMAL: 300, SUPERSEDED: 301, UNAUTHORIZED: 302 };
const RESET_REASONS = ['', 'UNKNOWN_SESSION', 'EXPIRED', 'DRIFT', 'OVERFLOW', 'FLOW', 'RESTARTED', 'CLOSED', 'REVOKED', 'EVICTED', 'TAKEN_OVER', 'INTERNAL'];
const root = process.argv[2];
const cases = (folder) => readdirSync(join(root, folder)).sort().flatMap((file) =>
  JSON.parse(readFileSync(join(root, folder, file), 'utf8')).map((one) => ({ ...one, file })));
const unhex = (hex) => Uint8Array.from(Buffer.concat([hex].flat().map((part) =>
  typeof part === 'string' ? Buffer.from(part, 'hex') : Buffer.from(part.repeat.repeat(part.times), 'hex'))));
const report = { valid: [0, 0], invalid: [0, 0], scenarios: [0, 0], skipped: {} };
const failures = [];

function count(kind, one, action) {
  report[kind][0] += 1;
  try {
    action();
    report[kind][1] += 1;
  } catch (error) {
    failures.push(`${kind} ${one.file}: ${one.description}: ${error.message}`);
  }
}
function equal(seen, expected, what) {
  if (!isDeepStrictEqual(seen, expected)) throw new Error(`${what}: ${JSON.stringify(seen)} in place of ${JSON.stringify(expected)}`);
}
function refused(action) {
  try {
    action();
  } catch (error) {
    if (error instanceof ProtocolError) return;
    throw error;
  }
  throw new Error('taken');
}

// ---------------------------------------------------------------- bytes

/** A value of a vector file as this client decodes it: bytes, floats, repeated elements; arrays of named items become tuples. */
function plain(value) {
  if (Array.isArray(value)) return value.flatMap((v) => (Object.hasOwn(Object(v), 'repeat') ? Array(v.times).fill(plain(v.repeat)) : [plain(v)]));
  if (value === null || typeof value !== 'object') return value;
  const keys = Object.keys(value).join();
  if (keys === 'hex') return unhex(value.hex);
  if (keys === 'float') return Object(Number(value.float));
  if (['received,delivered,sent', 'epoch,offset', 'channel,since', 'channel,since,options', 'channel,status,position,reason', 'procedure,description', 'member,user,info',
    'kind,name', 'status,reached,away,full,position,reason'].includes(keys)) return Object.values(value).map(plain);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
}
const tables = { session: PACKETS, message: MESSAGES };
const OPTIONAL = {
  about: ['publisher', 'time_ms', 'tags', 'latest_key'],
  options: ['tags', 'latest_key', 'except_me', 'volatile', 'rewind', 'rewind_ms', 'filter', 'answers'],
  remarks: [],
};
/** Comparable: bytes and floats as text, in limits only the keys of the specification, and nothing that says nothing (MSG-9). */
function tidy(value, kind, key) {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (value instanceof Number) return `float ${value}`;
  if (Array.isArray(value)) {
    const [name, , options] = value, asked = value.length === 3 && typeof name === 'string'; // one channel of a SUBSCRIBE
    return asked ? [...value.slice(0, 2), ...(options ? [tidy(options, kind, 'options')] : [])].map((v) => tidy(v, kind)) : value.map((v) => tidy(v, kind));
  }
  if (value === null || typeof value !== 'object') return value;
  const limit = (k) => k.startsWith('window_') || k === 'message_bytes' || (kind === 'OPENED' && k.startsWith('operation'));
  const known = (k) => (key === 'limits' ? limit(k) : !Object.hasOwn(OPTIONAL, key ?? '') || (OPTIONAL[key].includes(k) && value[k] !== null));
  const says = (k) => known(k) && !(Object.hasOwn(OPTIONAL, k) && value[k] === null);
  return Object.entries(value).filter(([k]) => says(k)).map(([k, v]) => [k, tidy(v, kind ?? value.kind, k)]);
}

for (const one of cases('valid')) {
  const bytes = unhex(one.hex);
  count('valid', one, () => {
    if (one.layer === 'batch') return equal([...decodeBatch(bytes)].map((p) => tidy(p)), plain(one.packets).map((p) => tidy(p)), 'packets');
    const [packet, rest] = decodeOne(tables[one.layer], bytes);
    equal(tidy(packet), tidy(plain(one.packet)), 'packet');
    equal(rest.length, 0, 'bytes left');
    const ping = unhex('830901f6');
    if (one.layer === 'session' && bytes.length < 131_000) { // trailing
      equal([...decodeBatch(Buffer.concat([bytes, ping]))].map((p) => tidy(p)), [packet, { kind: 'PING', token: 1, counts: null }].filter(Boolean).map((p) => tidy(p)), 'both');
    }
    const number = Object.keys(tables[one.layer]).find((n) => tables[one.layer][n][0] === packet?.kind);
    if (one.canonical) equal(Buffer.from(encode([Number(number), ...Object.values(packet).slice(1)])).toString('hex'), Buffer.from(bytes).toString('hex'), 'encoded');
  });
}
for (const one of cases('invalid')) {
  const bytes = unhex(one.hex);
  count('invalid', one, () => refused(() => {
    if (one.layer !== 'message') return [...decodeBatch(bytes)];
    return decodeOne(MESSAGES, bytes);
  }));
}

// ---------------------------------------------------------------- scenarios

/** Virtual time, in place of the global timers. */
const clock = { now: 0, timers: new Map(), next: 1 };
globalThis.setTimeout = (action, ms) => { clock.timers.set(clock.next, { at: clock.now + ms, action }); return clock.next++; };
globalThis.clearTimeout = (timer) => { clock.timers.delete(timer); };
const settled = () => new Promise(setImmediate);
async function advance(ms) {
  for (const end = clock.now + ms; ;) {
    const [id, due] = [...clock.timers].filter(([, t]) => t.at <= end + 1e-6).sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
    clock.now = due ? due.at : end;
    if (!due) return;
    clock.timers.delete(id);
    due.action();
    await settled();
  }
}

/** What does not apply to this client, and why; null if it does. */
function excuse({ role, config, steps }) {
  const commands = steps.map(({ command }) => command?.name);
  if (role !== 'client') return 'the server\'s side';
  if (config.carriage === 'stream') return 'byte streams: this client speaks WebSocket';
  if (commands.includes('restart')) return 'export and restore';
  if (commands.includes('probe')) return 'racing carriages';
  if (commands.includes('volatile')) return 'sending VOLATILE';
  if (steps.some(({ send }) => send?.diagnostic.startsWith('[11, '))) return 'sending AUTH';
  if (config.deliver === false) return 'an application that takes its messages later';
  return null;
}

class Scenario {
  links = new Map(); // name → { link, out: bytes sent and not yet expected, ended }
  events = [];
  chosen = new Map();

  constructor({ config }) {
    Object.assign(clock, { now: 0, timers: new Map() });
    const { deliver, features, resume_period_ms = null, handshake_ms = 10_000, write_ms = 10_000, credentials, ...limits } = config;
    this.session = new Session({ credentials, features: features ?? [], resumePeriodMs: resume_period_ms, handshakeMs: handshake_ms, writeMs: write_ms, limits });
    const on = (name, details) => this.session.on(name, (...values) => this.events.push({ name, ...details(...values) }));
    for (const name of ['opened', 'detached', 'credentials_accepted']) on(name, () => ({}));
    on('resumed', (replayed) => ({ replayed }));
    on('credentials_wanted', (within_ms) => ({ within_ms }));
    on('message', (body, number) => ({ hex: Buffer.from(body).toString('hex'), number }));
    on('volatile', (body) => ({ hex: Buffer.from(body).toString('hex') }));
    on('reset', ({ reason, ...counts }) => ({ reason: RESET_REASONS[reason], ...counts }));
    on('closed', ({ code, link, reconnect, resume }) => ({
      code: Object.keys(CLOSE_CODES).find((k) => CLOSE_CODES[k] === code), on: [...this.links].find(([, l]) => l.carriage === link.carriage)?.[0], reconnect, resume }));
  }

  async play(steps) {
    for (let i = 0; i < steps.length;) {
      await this.input(steps[i]);
      await settled();
      const outputs = [];
      for (i += 1; i < steps.length && (steps[i].send || steps[i].closed || steps[i].event); i += 1) outputs.push(steps[i]);
      this.expect(outputs, `after step ${i}`);
    }
    const values = [...this.chosen].filter(([name]) => name.startsWith('bytes ')).map(([, v]) => v);
    equal(new Set(values).size, values.length, 'chosen bytes that differ');
  }

  async input({ connect, receive, drop, advance: seconds, command, at }) {
    if (at !== undefined) await advance(at * 1000 - clock.now);
    if (connect) {
      const there = { out: Buffer.alloc(0), ended: false };
      there.carriage = { send: (batch) => { there.out = Buffer.concat([there.out, batch]); }, end: () => { there.ended = true; } };
      this.links.set(connect, there);
      there.link = this.session.connect(there.carriage);
    } else if (receive) this.session.receive(this.links.get(receive.on).link, this.fill(receive.hex));
    else if (drop) this.session.lost(this.links.get(drop).link);
    else if (seconds) await advance(seconds * 1000);
    else if (command.name === 'send') this.session.send(unhex(command.hex));
    else if (command.name === 'close') this.session.close(CLOSE_CODES[command.code], command.reason);
    else if (command.name === 'reset') this.session.reset(RESET_REASONS.indexOf(command.reason));
    else if (command.name === 'credentials') this.session.credentials = command.credentials;
    else throw new Error(`unknown command ${command.name}`);
  }

  expect(outputs, where) {
    for (const { send } of outputs.filter((o) => o.send)) this.match(this.links.get(send.on), send, where);
    for (const [name, there] of this.links) {
      equal(there.out.toString('hex'), '', `${where}: more sent on ${name}`);
      const closed = outputs.some((o) => o.closed === name);
      equal(there.ended && !there.told, closed, `${where}: ${name} ended`);
      there.told ||= closed;
    }
    const wanted = outputs.filter((o) => o.event).map((o) => o.event);
    for (const group of [(e) => e.name !== 'closed' && e.name !== 'detached', (e) => e.name === 'closed', (e) => e.name === 'detached']) {
      const seen = this.events.filter(group), expected = wanted.filter(group);
      equal(seen.map((e, i) => Object.fromEntries(Object.keys(expected[i] ?? e).map((k) => [k, e[k]]))), expected, `${where}: events`);
    }
    this.events = [];
  }

  /** Read from what was sent on a link what `hex` says, and remember the items that the client chose. */
  match(there, { hex, diagnostic }, where) {
    for (const part of [hex].flat()) {
      const name = ['bytes', 'text', 'uint'].filter((type) => part[type]).map((type) => `${type} ${part[type]}`)[0];
      const expected = name && !this.chosen.has(name) ? null : this.fill([part]);
      const seen = there.out.subarray(0, expected ? expected.length : itemLength(there.out));
      if (expected) equal(seen.toString('hex'), Buffer.from(expected).toString('hex'), `${where}: ${diagnostic}`);
      else if (part.text === undefined) this.chosen.set(name, seen.toString('hex')); // a text may differ every time
      there.out = there.out.subarray(seen.length);
    }
  }

  fill(hex) {
    return unhex([hex].flat().map((part) => this.chosen.get(['bytes', 'uint'].filter((t) => part[t]).map((t) => `${t} ${part[t]}`)[0]) ?? part));
  }
}

/** The length of the byte string, text or integer, shortest head, that begins `data`. */
function itemLength(data) {
  const major = data[0] >> 5, minor = data[0] & 31, extra = [0, 1, 2, 4, 8][Math.max(0, minor - 23)];
  return 1 + extra + (major === 0 ? 0 : extra ? data.readUIntBE(1, extra) : minor);
}

for (const one of cases('scenarios')) {
  const why = excuse(one);
  if (why) report.skipped[why] = (report.skipped[why] ?? 0) + 1;
  else {
    report.scenarios[0] += 1;
    await new Scenario(one).play(one.steps).then(() => { report.scenarios[1] += 1; }, (error) => {
      failures.push(`scenario ${one.file}: ${one.description}: ${error.message}`);
    });
  }
}
process.stdout.write(`${JSON.stringify(report)}\n`);
if (failures.length) {
  process.stderr.write(`${failures.join('\n')}\n`);
  process.exitCode = 1;
}
