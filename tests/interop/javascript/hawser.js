// A client of the Hawser protocol, written from SPEC.md alone: bytes (3, 15.1), a session (4 to 11), a service over WebSocket (14.2, 15).
import { EventEmitter } from 'node:events';
import WebSocket from 'ws';
import { ProtocolError, decode, encode, fail } from './cbor.js';
const PART = 65_536, BATCH = 131_072, ANY = 2 ** 53; // bytes
const uint = (v) => Number.isInteger(v) && v >= 0, id = (v) => uint(v) && v >= 1, bool = (v) => typeof v === 'boolean';
const bytes = (least, most) => (v) => v instanceof Uint8Array && v.length >= least && v.length <= most;
const text = (least, most) => (v) => typeof v === 'string' && Buffer.byteLength(v) >= least && Buffer.byteLength(v) <= most;
const list = (check, least, most) => (v) => Array.isArray(v) && v.length >= least && v.length <= most && v.every(check);
const tuple = (...checks) => (v) => Array.isArray(v) && v.length <= checks.length && checks.every((check, i) => check(v[i]));
const map = (...keys) => (v) => v && Object.getPrototypeOf(v) === Object.prototype && keys.every((k) => Object.hasOwn(v, k) && uint(v[k]));
const or = (check) => (v) => v === null || check(v), some = (check) => list(check, 1, 128), perhaps = (check) => (v) => v == null || check(v);
const maybe = (keys) => (v) => v == null || (map()(v) && Object.keys(keys).every((k) => v[k] == null || keys[k](v[k]))); // MSG-9
const tags = (v) => map()(v) && list(text(0, 64), 1, 8)(Object.values(v)) && Object.keys(v).every((word) => text(1, 32)(word));
const said = { tags, latest_key: text(1, 64) }, options = maybe({ ...said, except_me: bool, volatile: bool });
const how = maybe({ rewind: uint, rewind_ms: uint, filter: text(1, 1024), answers: bool });
const counts = tuple(uint, uint, uint), session = bytes(1, 64), secret = bytes(32, 32), incarnation = bytes(1, 16), body = bytes(0, PART);
const features = list(text(0, 64), 0, 32), credentials = map(), LIMITS = ['window_messages', 'window_bytes', 'message_bytes'];
const channel = text(1, 255), epoch = bytes(8, 8), offset = uint, position = tuple(epoch, uint), data = bytes(0, 2 ** 53), reason = text(0, 2 ** 53);
export const PACKETS = { // of each kind its name, and what its items have to be
  1: ['OPEN', { versions: list(uint, 1, 16), features, credentials, resume_period_ms: or(uint), limits: map(...LIMITS) }],
  2: ['OPENED', { version: uint, features, session, secret, incarnation, resume_period_ms: uint, ping_interval_ms: uint, pong_wait_ms: uint,
    limits: map(...LIMITS, 'operations', 'operation_bytes') }],
  3: ['RESUME', { session, secret, incarnation, attempt: id, counts, credentials }], 4: ['RESUMED', { attempt: id, counts, secret }],
  5: ['RESET', { reason: uint, counts: or(counts) }], 6: ['MESSAGE', { more: bool, body }], 7: ['VOLATILE', { body }], 8: ['ACK', { counts }],
  9: ['PING', { token: uint, counts: or(counts) }], 10: ['PONG', { token: uint, counts: or(counts) }], 11: ['AUTH', { credentials }],
  12: ['REAUTH', { within_ms: or(uint) }], 13: ['CLOSE', { code: uint, reason: text(0, 123), reconnect: bool, resume: bool, after_min_ms: uint,
    after_max_ms: uint, url: or(text(0, 2048)), attempt: or(uint) }] };
const place = { channel, epoch, offset }, call = { id, procedure: channel, arguments: data, deadline_ms: or(uint) }, told = { code: uint, reason };
const agent = text(1, 127), description = bytes(0, 4096), credit = { items: uint, bytes: uint }, roll = { channel, version: uint, total: uint };
const info = bytes(0, 1024), here = list(tuple(incarnation, channel, info), 0, 128), letter = { mailbox: channel, epoch };
const target = tuple(uint, or(channel)), user = or(channel), name = text(1, 32), outcome = tuple(uint, uint, uint, uint, or(position), reason);
export const MESSAGES = {
  1: ['SUBSCRIBE', { id, channels: some(tuple(channel, or(position), how)) }], 22: ['CHANGES', { ...roll, here, gone: list(incarnation, 0, 128) }],
  2: ['SUBSCRIBED', { id: or(id), channels: some(tuple(channel, uint, or(position), reason)), remarks: perhaps(some(reason)) }],
  3: ['UNSUBSCRIBE', { id, channels: some(channel) }], 17: ['SENT', { id, outcomes: list(outcome, 1, 64), remarks: perhaps(list(reason, 1, 64)) }],
  4: ['UNSUBSCRIBED', { id: or(id), channels: some(channel), ...told }], 31: ['HOLD', { id, mailbox: or(channel), letters: uint, bytes: uint }],
  5: ['PUBLISH', { id, channel, data, key: or(bytes(1, 64)), options }], 32: ['HELD', { id: or(id), mailbox: channel, state: uint, ...told }],
  6: ['PUBLISHED', { id, position, duplicate: bool }], 16: ['SEND', { id, targets: list(target, 1, 64), data, key: or(bytes(1, 64)), options }],
  7: ['PUBLICATION', { ...place, data, about: maybe({ publisher: channel, time_ms: uint, ...said }) }], 36: ['LISTENING', { id, session: name }],
  8: ['POSITION', place], 10: ['PAUSE', place], 11: ['CONTINUE', place], 15: ['CANCEL', { id }],
  9: ['GAP', { channel, since: or(position), position, reason: uint }], 20: ['PRESENT', { id: or(id), channel, member: or(incarnation), ...told }],
  12: ['CALL', call], 13: ['REPLY', { id, data }], 18: ['DIRECT', { to: target, user, session: or(name), data }], 26: ['WITHDRAW', { id, agent }],
  14: ['ERROR', { id, code: uint, message: reason, temporary: bool, data: or(data) }], 21: ['MEMBERS', { ...roll, more: bool, members: or(here) }],
  19: ['PRESENCE', { id, channel, watch: uint, info: or(info) }], 34: ['SETTLE', { ...letter, letters: some(uint), failed: bool }],
  24: ['OFFER', { id, agent, worker: or(agent), description, procedures: some(tuple(agent, description)) }], 35: ['LISTEN', { id, ...credit }],
  25: ['OFFERED', { id: or(id), agent, ...told }], 37: ['READ', { id, channel, since: or(position), before: or(position), limit: uint }],
  27: ['STREAM', { ...call, inputs: bool, ...credit }], 38: ['PAGE', { id, position, first: uint, more: bool, publications: list(data, 0, 128) }],
  28: ['ITEM', { id, inward: bool, data: or(data) }], 33: ['LETTER', { ...letter, offset, sender: or(channel), time_ms: uint, tries: uint, data }],
  29: ['CREDIT', { id, inward: bool, ...credit }], 30: ['POST', { id, mailbox: channel, data, key: or(bytes(1, 64)), ttl_ms: or(uint) }] };
export function decodeOne(table, input) { // what begins `input`, by the names of a table (null: to be skipped), and the bytes behind it
  const [items, rest] = decode(input), packet = {};
  if (!Array.isArray(items) || !uint(items[0]) || items[0] > 255) fail('PKT-1', 'no packet begins here');
  const [kind, checks] = table[items[0]] ?? (items[0] < 128 ? fail('PKT-2', `unknown kind ${items[0]}`) : [null, {}]);
  Object.keys(checks).forEach((name, i) => { if (i + 1 < items.length) packet[name] = items[i + 1]; });
  for (const [name, check] of Object.entries(checks)) if (!check(packet[name])) fail('PKT-8', `${name} in ${kind}`);
  const most = table === MESSAGES ? ANY : kind === 'MESSAGE' || kind === 'VOLATILE' ? 65_600 : 16_384;
  if (input.length - rest.length > most) fail('PKT-7', `a packet above ${most} bytes`);
  if (table === MESSAGES && rest.length) fail('MSG-1', 'bytes behind a message');
  if (kind === 'CLOSE' && packet.code === SUPERSEDED && packet.attempt === null) fail('CLS-7', 'SUPERSEDED without an attempt');
  return [kind && { kind, ...packet }, rest];
}
export function* decodeBatch(input) { // one after another: the packets before a faulty one count
  if (input.length > BATCH) fail('PKT-5', 'a batch above 131,072 bytes');
  for (let packet, rest = input; rest.length;) { [packet, rest] = decodeOne(PACKETS, rest); if (packet) yield packet; }
}
const DRIFT = 3, OVERFLOW = 4, CLOSED = 7, TAKEN_OVER = 10; // reasons of RESET
const GOING_AWAY = 100, TIMEOUT = 101, PROTOCOL_ERROR = 108, NORMAL = 300, SUPERSEDED = 301; // codes of CLOSE
const TAKEN = { OPENING: ['OPENED', 'PONG'], RESUMING: ['RESUMED', 'RESET', 'PONG'], REOPENING: ['OPENED'], // section 16, beside CLOSE
  ATTACHED: ['MESSAGE', 'VOLATILE', 'ACK', 'PING', 'PONG', 'REAUTH', 'RESET'] };
const DEFAULTS = { credentials: {}, features: [], resumePeriodMs: null, handshakeMs: 10_000, writeMs: 10_000, link: null };
const after = (ms, action) => setTimeout(action, Math.min(ms, 2 ** 31 - 1)); // setTimeout takes more than that for 1
const total = (parts) => parts.reduce((sum, { length }) => sum + length, 0);
export class Session extends EventEmitter { // touches no socket; emits opened, resumed, message, closed, detached, reset; left: of every connection
  constructor({ limits, ...options } = {}) {
    super();
    Object.assign(this, DEFAULTS, options, { limits: { window_messages: 1000, window_bytes: 262_144, message_bytes: 1_048_576, ...limits } });
    this.#begin();
  }
  #begin() { Object.assign(this, { id: null, attempt: 0, received: 0, owed: [], run: [], accepted: 0, queue: [], sent: 0, replay: [] }); }
  get attached() { return this.link?.state === 'ATTACHED'; }
  get counts() { return [this.received, this.received, this.sent]; } // the application takes each message at once: received is delivered
  get trimmed() { return this.sent - this.replay.length; }
  connect(carriage) { // one with send(batch) and end(code) is up: attach to it; what `link` was is an older connection from here on (ATT-15)
    clearTimeout(this.link?.timer); this.link = { carriage, sent: 0, session: this.id };
    if (!this.id) return this.#open('OPENING');
    this.attempt += 1; // ATT-4
    return this.#await('RESUMING', 3, this.id, this.secret, this.incarnation, this.attempt, this.counts, this.credentials);
  }
  receive(link, batch) {
    if (link === this.link && this.attached) this.#watch(this.silenceMs); // LIV-4: any byte is life
    try {
      for (const packet of decodeBatch(batch)) this.#take(link, packet);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (link === this.link) this.close(PROTOCOL_ERROR, error.message.slice(0, 30));
    }
    this.#flush();
  }
  lost(link, reconnect) { if (link === this.link) this.#leave({ reconnect }, true); else clearTimeout(link.timer); } // its carriage is gone
  send(message) { // queued: it gets its numbers when the window admits it (NUM-1)
    if (this.id && message.length > this.window.message_bytes) throw new RangeError('longer than the server takes (PRT-5)');
    for (let at = 0; at === 0 || at < message.length; at += PART) {
      this.queue.push({ part: message.subarray(at, at + PART), first: at === 0, more: at + PART < message.length });
    }
    this.accepted += 1; this.#flush();
  }
  close(code = NORMAL, why = '') { // NORMAL ends the session, too; the carriage ends with the peer's, or after the write deadline (CLS-3)
    const { link } = this, resume = code !== NORMAL;
    if (link) {
      this.#say(13, code, why, resume, resume, 0, 0, null, null);
      this.#leave({ code, link, resume, reconnect: resume }, resume);
      link.timer = after(this.writeMs, () => link.carriage.end(code));
    }
    if (!resume && this.id) this.#over(CLOSED);
  }
  reset(why, told = null) { // the session is over, by us or told so: the next one opens on the same connection (RST-1, RST-5)
    if (!told) this.#say(5, why, this.counts);
    this.#over(why, told?.counts);
    this.#open('REOPENING');
  }
  #take(link, packet) {
    const { kind } = packet, { attached } = this, [received, delivered, sent] = packet.counts ?? [];
    if (link.state === 'ENDED' || (link !== this.link && kind !== 'CLOSE')) return; // CLS-3, ATT-15
    if (kind === 'CLOSE') return this.#closed(link, packet);
    if ((link.state === 'REOPENING' && kind !== 'OPENED') || (kind === 'RESUMED' && packet.attempt !== this.attempt)) return; // RST-4, ATT-8
    if (!TAKEN[link.state].includes(kind)) fail('PKT-10', `${kind} while ${link.state}`);
    if ((kind === 'PING' || kind === 'PONG') && attached === !packet.counts) fail('CNT-9', kind);
    const stated = attached && packet.counts && kind !== 'RESET', drift = delivered > received || received > this.sent || sent !== this.received;
    if (stated && drift) return this.reset(DRIFT); // CNT-8, ACK-4, CNT-5
    if (stated) this.#trim(delivered);
    if (kind === 'OPENED') this.#opened(packet);
    if (kind === 'OPENED' || kind === 'RESUMED') this.#attach(packet);
    if (kind === 'RESET') this.reset(packet.reason, packet);
    if (kind === 'MESSAGE') this.#message(packet.more, packet.body);
    if (kind === 'PING') link.pong = packet.token; // of several only the newest needs an answer (LIV-3)
  }
  #opened({ version, features: chosen, session: id, incarnation: store, limits, ping_interval_ms, pong_wait_ms }) {
    if (version !== 1 || !chosen.every((feature) => this.features.includes(feature))) fail('VER-4', 'not offered');
    Object.assign(this, { id, incarnation: store, window: limits, silenceMs: ping_interval_ms + pong_wait_ms });
  }
  #attach({ kind, secret: next, counts: [received, delivered, sent] = [0, 0, 0] }) {
    if (!(this.trimmed <= delivered && delivered <= received && received <= this.sent && this.received <= sent)) return this.reset(DRIFT); // ATT-11
    this.secret = next; this.#trim(delivered);
    Object.assign(this.link, { state: 'ATTACHED', sent: received, session: this.id });
    this.#state(8); // ATT-3
    this.#watch(this.silenceMs);
    this.emit(kind.toLowerCase(), this.sent - received);
  }
  #message(more, part) {
    const run = [...this.run, part];
    if (total(run) > this.limits.message_bytes) return this.reset(OVERFLOW); // PRT-5
    Object.assign(this, { run: more ? run : [], received: this.received + 1, owed: [...this.owed, part] });
    if (!more) this.emit('message', Buffer.concat(run), this.received);
  }
  #closed(link, { code, attempt, ...answers }) {
    const stolen = code === SUPERSEDED && this.id && link.session === this.id && attempt > this.attempt; // ATT-9
    const over = stolen || (this.attached && !answers.resume && code !== SUPERSEDED); // CLS-6
    if (link !== this.link && !stolen) return;
    link.carriage.end(code);
    if (link === this.link) this.#leave({ ...answers, code, link }, !over);
    link.state = 'ENDED';
    if (over) this.#over(stolen ? TAKEN_OVER : CLOSED);
    if (stolen) this.close(GOING_AWAY, 'ATT-9'); // a newer connection, if there is one
  }
  #leave(why, kept) { // the newest connection is over, and its session kept or not
    const { link, attached } = this;
    Object.assign(link, { state: 'ENDED', timer: clearTimeout(link.timer) });
    Object.assign(this, { link: null, ackTimer: clearTimeout(this.ackTimer) });
    if (why.code) this.emit('closed', why);
    if (attached && kept) this.emit('detached');
    this.emit('left', why);
  }
  #over(why, told) { // the session is; counts of a RESET are used if they can be (RST-1), and the loss is told (RST-6)
    if (told && told[1] <= told[0] && told[0] <= this.sent) this.#trim(told[1]);
    const { accepted, queue } = this, open = [...this.replay, ...queue].filter((p) => !p.more).length, unsent = queue.filter((p) => p.first).length;
    this.#begin();
    this.emit('reset', { reason: why, known_delivered: accepted - open, unknown: open - unsent, not_sent: unsent });
  }
  #trim(delivered) { this.replay.splice(0, delivered - this.trimmed); } // only this gives window back (CNT-3, CNT-6)
  #open(state) { return this.#await(state, 1, [1], this.features, this.credentials, this.resumePeriodMs, this.limits); }
  #await(state, ...packet) { // an answer to it, for as long as a handshake may take (ATT-20)
    this.#say(...packet); this.#watch(this.handshakeMs);
    return Object.assign(this.link, { state });
  }
  #watch(ms) { // what has arrived is processed before any timeout (LIV-6)
    const { link } = this, timer = after(ms, () => setImmediate(() => link.timer === timer && link === this.link && this.close(TIMEOUT)));
    clearTimeout(link.timer); link.timer = timer;
  }
  #say(...packet) { // as a batch of its own (PKT-5)
    Object.assign(this.link, { said: true }).carriage.send(encode(packet));
  }
  #state(kind, ...token) { // counts leave; their `sent` is the last MESSAGE before them on this connection (CNT-5)
    this.#say(kind, ...token, [this.received, this.received, this.link.sent]);
    Object.assign(this, { owed: [], ackTimer: clearTimeout(this.ackTimer) });
  }
  #flush() { // what has to be said now: messages, a PONG, an ACK
    if (!this.attached) return;
    const { link, limits, owed } = this, { length } = owed;
    this.#pump(link);
    const many = length >= 64 || length * 4 >= limits.window_messages || total(owed) * 4 >= limits.window_bytes; // ACK-1
    if (link.pong !== undefined) this.#state(10, link.pong);
    else if (many || (length && link.said)) this.#state(8); // ACK-3
    else if (length) this.ackTimer ??= after(250, () => this.#state(8)); // ACK-2
    Object.assign(link, { pong: undefined, said: false });
  }
  #pump(link) { // again what the peer has not received, then number what the window admits (ATT-12, NUM-1, WIN-1, WIN-2)
    for (; link.sent < this.sent || this.queue.length; link.sent += 1) {
      if (link.sent === this.sent) {
        const { window_messages, window_bytes } = this.window, held = [...this.replay, this.queue[0]];
        if (held.length > 1 && (held.length > window_messages || total(held.map(({ part }) => part)) > window_bytes)) return;
        this.replay.push(this.queue.shift()); this.sent += 1;
      }
      const { more, part } = this.replay[link.sent - this.trimmed]; this.#say(6, more, part);
    }
  }
}
const WEBSOCKET = { perMessageDeflate: false, maxPayload: BATCH, maxFragments: 64, handshakeTimeout: 10_000 }; // CAR-3, CAR-4
const REFUSED = Object.keys(MESSAGES).filter((k) => k > 15 || [1, 3, 5, 10, 11].includes(+k)).map((k) => MESSAGES[k][0]); // MSG-4, VER-6
export class Client extends Session { // a session that dials, and comes back until it is told not to; emits each message of a service, and stopped
  #waiting = []; #open = new Map(); #positions = new Map(); #reached = 0; #idle = 0; #done = false;
  constructor(url, options) {
    super({ ...options, url }).on('opened', () => this.#admit()).on('message', (body) => this.#hear(body));
    this.on('reset', (loss) => this.#lose(loss)).on('left', (why) => this.#again(why)).#dial();
  }
  publish(channel, data, key = null) { return this.#operate(5, channel, data, key); }
  subscribe(...channels) { return this.#operate(1, channels); } // each as [channel, position or null]
  stop() { this.#done = true; this.close(); }
  #dial() {
    const ws = new WebSocket(this.url, 'hawser.v1', WEBSOCKET), send = (batch) => ws.send(batch);
    const end = (code) => { ws.close(4000 + code); setTimeout(() => ws.terminate(), 1000).unref(); };
    ws.on('error', () => {}).on('open', () => { ws.link = this.#done ? ws.terminate() : this.connect({ send, end }); });
    ws.on('message', (batch, binary) => (binary ? this.receive(ws.link, batch) : ws.close(1003))); // CAR-3
    ws.on('close', (code) => (ws.link ? this.lost(ws.link, code < 4300 || code > 4399) : this.#again({ reconnect: true }))); // CAR-5
  }
  #again({ reconnect, code, after_min_ms: least = 0, after_max_ms: most = 0 }) {
    if (this.#done || !reconnect) return this.emit('stopped');
    const reached = this.received + this.trimmed, usual = Math.min(30_000, 500 * 2 ** this.#idle); // REC-1
    const span = least || most ? Math.max(0, most - least) : code ? Math.max(5000, usual) : usual; // REC-2
    [this.#idle, this.#reached] = [reached === this.#reached ? this.#idle + 1 : 0, reached]; // attempts in a row without progress
    setTimeout(() => this.#done || this.#dial(), least + Math.random() * span);
  }
  #operate(kind, ...items) { return new Promise((resolve, reject) => { this.#waiting.push({ kind, items, resolve, reject }); this.#admit(); }); }
  #admit() { // OPS-2: what the server would answer BUSY waits here; an operation's place in the session is its id (MSG-5)
    while (this.id && this.#waiting.length) {
      const [operation] = this.#waiting, place = this.accepted + 1, message = encode([operation.kind, place, ...operation.items]);
      const open = [...this.#open.values(), message], { operations, operation_bytes } = this.window;
      if (open.length > 1 && (open.length > operations || total(open) > operation_bytes)) return;
      this.#open.set(place, { ...this.#waiting.shift(), length: message.length }); this.send(message);
    }
  }
  #lose({ known_delivered, unknown }) { // RST-9: what had a number is unknown, the rest was not sent; RST-10: subscribe again, in one packet
    for (const [place, { reject }] of this.#open) reject(new Error(place <= known_delivered + unknown ? 'OutcomeUnknown' : 'NotSent'));
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('NotSent'));
    this.#open.clear();
    if (this.#positions.size) this.subscribe(...this.#positions).catch(() => {});
  }
  #hear(body) {
    const [message] = decodeOne(MESSAGES, body), { kind, id: number, channel: name } = message ?? {};
    if (REFUSED.includes(kind)) fail('MSG-4', kind);
    if (kind === 'CALL') this.send(encode([14, number, 3, 'no procedures here', false, null])); // CAL-1
    if (name) this.#positions.set(name, message.position ?? [message.epoch, message.offset]); // PUBLICATION, POSITION, GAP
    if (kind === 'UNSUBSCRIBED') for (const each of message.channels) this.#positions.delete(each); // SUB-7
    if (kind === 'SUBSCRIBED') for (const [each, status, place] of message.channels) if (status < 3) this.#positions.set(each, place); // SUB-2
    if (kind) this.emit(kind, message);
    const asked = ['SUBSCRIBED', 'PUBLISHED', 'ERROR'].includes(kind) && this.#open.get(number); // MSG-6
    if (asked && kind !== 'ERROR' && kind !== { 1: 'SUBSCRIBED', 5: 'PUBLISHED' }[asked.kind]) fail('MSG-2', kind);
    if (asked && this.#open.delete(number)) asked.resolve(kind === 'ERROR' ? Promise.reject(Object.assign(new Error(), message)) : message);
    this.#admit();
  }
}
