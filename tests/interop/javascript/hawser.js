// A client of the Hawser protocol, written from SPEC.md alone: bytes (3, 15.1), a session (4 to 11), a service over WebSocket (14.2, 15).
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import WebSocket from 'ws';
import { ProtocolError, decode, encode, fail } from './cbor.js';
const uint = (v) => Number.isInteger(v) && v >= 0, id = (v) => uint(v) && v >= 1, bool = (v) => typeof v === 'boolean';
const bytes = (least, most) => (v) => v instanceof Uint8Array && v.length >= least && v.length <= most;
const text = (least, most) => (v) => typeof v === 'string' && Buffer.byteLength(v) >= least && Buffer.byteLength(v) <= most;
const list = (check, least, most) => (v) => Array.isArray(v) && v.length >= least && v.length <= most && v.every(check);
const tuple = (...checks) => (v) => Array.isArray(v) && v.length === checks.length && checks.every((check, i) => check(v[i]));
const map = (...keys) => (v) => v && Object.getPrototypeOf(v) === Object.prototype && keys.every((k) => Object.hasOwn(v, k) && uint(v[k]));
const or = (check) => (v) => v === null || check(v), some = (check) => list(check, 1, 128); // or null
const counts = tuple(uint, uint, uint), session = bytes(1, 64), secret = bytes(32, 32), incarnation = bytes(1, 16), body = bytes(0, 65_536);
const features = list(text(0, 64), 0, 32), credentials = map(), LIMITS = ['window_messages', 'window_bytes', 'message_bytes'];
const channel = text(1, 255), epoch = bytes(8, 8), offset = uint, position = tuple(epoch, uint), data = bytes(0, 2 ** 53), reason = text(0, 2 ** 53);
export const PACKETS = {
  1: ['OPEN', { versions: list(uint, 1, 16), features, credentials, resume_period_ms: or(uint), limits: map(...LIMITS) }],
  2: ['OPENED', { version: uint, features, session, secret, incarnation, resume_period_ms: uint, ping_interval_ms: uint, pong_wait_ms: uint,
    limits: map(...LIMITS, 'operations', 'operation_bytes') }],
  3: ['RESUME', { session, secret, incarnation, attempt: id, counts, credentials }], 4: ['RESUMED', { attempt: id, counts, secret }],
  5: ['RESET', { reason: uint, counts: or(counts) }], 6: ['MESSAGE', { more: bool, body }], 7: ['VOLATILE', { body }], 8: ['ACK', { counts }],
  9: ['PING', { token: uint, counts: or(counts) }], 10: ['PONG', { token: uint, counts: or(counts) }], 11: ['AUTH', { credentials }],
  12: ['REAUTH', { within_ms: or(uint) }], 13: ['CLOSE', { code: uint, reason: text(0, 123), reconnect: bool, resume: bool, after_min_ms: uint,
    after_max_ms: uint, url: or(text(0, 2048)), attempt: or(uint) }] };
export const MESSAGES = {
  1: ['SUBSCRIBE', { id, channels: some(tuple(channel, or(position))) }], 3: ['UNSUBSCRIBE', { id, channels: some(channel) }],
  2: ['SUBSCRIBED', { id, channels: some(tuple(channel, uint, or(position), reason)) }],
  4: ['UNSUBSCRIBED', { id: or(id), channels: some(channel), code: uint, reason }], 15: ['CANCEL', { id }],
  5: ['PUBLISH', { id, channel, data, key: or(bytes(1, 64)) }], 6: ['PUBLISHED', { id, position, duplicate: bool }],
  7: ['PUBLICATION', { channel, epoch, offset, data }], 8: ['POSITION', { channel, epoch, offset }],
  9: ['GAP', { channel, since: or(position), position, reason: uint }], 10: ['PAUSE', { channel, epoch, offset }],
  11: ['CONTINUE', { channel, epoch, offset }], 12: ['CALL', { id, procedure: channel, arguments: data, deadline_ms: or(uint) }],
  13: ['REPLY', { id, data }], 14: ['ERROR', { id, code: uint, message: reason, temporary: bool, data: or(data) }] };
export function decodeOne(table, input) { // what begins `input`, by the names of a table (null: to be skipped), and the bytes behind it
  const [items, rest] = decode(input), packet = {};
  if (!Array.isArray(items) || !uint(items[0]) || items[0] > 255) fail('PKT-1', 'no packet begins here');
  const [kind, checks] = table[items[0]] ?? (items[0] < 128 ? fail('PKT-2', `unknown kind ${items[0]}`) : [null, {}]);
  Object.entries(checks).forEach(([name, check], i) => check(packet[name] = items[i + 1]) || fail('PKT-8', `${name} in ${kind}`));
  const most = table === MESSAGES ? 2 ** 53 : kind === 'MESSAGE' || kind === 'VOLATILE' ? 65_600 : 16_384;
  if (input.length - rest.length > most) fail('PKT-7', `a packet above ${most} bytes`);
  if (table === MESSAGES && rest.length) fail('MSG-1', 'bytes behind a message');
  if (kind === 'CLOSE' && packet.code === SUPERSEDED && packet.attempt === null) fail('CLS-7', 'SUPERSEDED without an attempt');
  return [kind && { kind, ...packet }, rest];
}
export function* decodeBatch(input) { // one after another: the packets before a faulty one count
  if (input.length > 131_072) fail('PKT-5', 'a batch above 131,072 bytes');
  for (let packet, rest = input; rest.length;) if (([packet, rest] = decodeOne(PACKETS, rest))[0]) yield packet;
}

const DRIFT = 3, OVERFLOW = 4, CLOSED = 7, TAKEN_OVER = 10; // reasons of RESET
const GOING_AWAY = 100, TIMEOUT = 101, PROTOCOL_ERROR = 108, NORMAL = 300, SUPERSEDED = 301; // codes of CLOSE
const TAKEN = { OPENING: ['OPENED', 'PONG'], RESUMING: ['RESUMED', 'RESET', 'PONG'], REOPENING: ['OPENED'], // section 16, beside CLOSE
  ATTACHED: ['MESSAGE', 'VOLATILE', 'ACK', 'PING', 'PONG', 'REAUTH', 'RESET'] };
const after = (ms, action) => setTimeout(action, Math.min(ms, 2 ** 31 - 1)); // setTimeout takes more than that for 1
export class Session extends EventEmitter { // touches no socket; emits opened, resumed, detached, reset, closed, message
  constructor({ limits, ...options } = {}) {
    super();
    Object.assign(this, { credentials: {}, features: [], resumePeriodMs: null, handshakeMs: 10_000, writeMs: 10_000, link: null }, options);
    this.limits = { window_messages: 1000, window_bytes: 262_144, message_bytes: 1_048_576, ...limits };
    this.#clear();
  }
  #clear() { // who we are, what comes in, what goes out
    Object.assign(this, { id: null, attempt: 0, received: 0, delivered: 0, stated: 0, owedBytes: 0, run: [], runBytes: 0 });
    Object.assign(this, { sent: 0, trimmed: 0, replay: [], replayBytes: 0, queue: [], inRun: false, accepted: 0, known: 0 });
  }
  get attached() { return this.link?.state === 'ATTACHED'; }
  get counts() { return [this.received, this.delivered, this.sent]; }
  connect(carriage) { // one with send(batch) and end(code) is up: attach to it; what `link` was is an older connection from here on (ATT-15)
    clearTimeout(this.link?.timer);
    this.link = { carriage, out: [], sent: 0, session: this.id };
    if (!this.id) return this.#open('OPENING');
    return this.#await('RESUMING', [3, this.id, this.secret, this.incarnation, this.attempt += 1, this.counts, this.credentials]);
  }
  receive(link, batch) {
    if (link === this.link && this.attached) this.#watch(this.silenceMs); // LIV-4: any byte is life
    try {
      for (const packet of decodeBatch(batch)) {
        if (link.state === 'ENDED') return; // CLS-3
        if (link === this.link || packet.kind === 'CLOSE') this.#take(link, packet);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (link === this.link) this.close(PROTOCOL_ERROR, error.message.slice(0, 30));
    }
    this.#flush();
  }
  lost(link) { if (link === this.link) this.#leave(null, true); else clearTimeout(link.timer); } // its carriage is gone
  send(message) { // queued: it gets its numbers when the window admits it (NUM-1); returns its place among all of this session
    if (this.id && message.length > this.window.message_bytes) throw new RangeError('longer than the server takes (PRT-5)');
    let at = 0;
    do this.queue.push({ body: message.subarray(at, at += 65_536), more: at < message.length }); while (at < message.length);
    this.#flush(this.accepted += 1);
    return this.accepted;
  }
  close(code = NORMAL, why = '') { // NORMAL ends the session, too; the carriage ends with the peer's, or after the write deadline (CLS-3)
    const { link } = this, resume = code !== NORMAL;
    link?.out.push([13, code, why, resume, resume, 0, 0, null, null]);
    if (link) this.#leave({ code, link, resume, reconnect: resume }, resume, after(this.writeMs, () => link.carriage.end(code)));
    if (!resume && this.id) this.#over(CLOSED);
  }
  reset(why, told = null) { // the session is over, by us or told so: the next one opens on the same connection (RST-1, RST-5)
    if (!told) this.link.out.push([5, why, this.counts]);
    this.#over(why, told?.counts);
    this.#open('REOPENING');
  }
  #take(link, packet) {
    const { kind } = packet, { attached } = this, [received, delivered, sent] = packet.counts ?? [];
    if (kind === 'CLOSE') return this.#closed(link, packet);
    if ((link.state === 'REOPENING' && kind !== 'OPENED') || (kind === 'RESUMED' && packet.attempt !== this.attempt)) return; // RST-4, ATT-8
    if (!TAKEN[link.state].includes(kind)) fail('PKT-10', `${kind} while ${link.state}`);
    if ((kind === 'PING' || kind === 'PONG') && attached === !packet.counts) fail('CNT-9', kind);
    if (attached && packet.counts && kind !== 'RESET') {
      if (delivered > received || received > this.sent || sent !== this.received) return this.reset(DRIFT); // CNT-8, ACK-4, CNT-5
      this.#trim(delivered);
    }
    if (kind === 'OPENED') this.#opened(packet);
    if (kind === 'RESUMED') this.#resumed(packet, received, delivered, sent);
    if (kind === 'RESET') this.reset(packet.reason, packet);
    if (kind === 'MESSAGE') this.#message(packet.more, packet.body);
    if (kind === 'PING') link.pong = packet.token; // of several only the newest needs an answer (LIV-3)
  }
  #opened({ version, features: chosen, session: id, secret: first, incarnation: store, limits, ping_interval_ms, pong_wait_ms }) {
    if (version !== 1 || !chosen.every((feature) => this.features.includes(feature))) fail('VER-4', 'not offered');
    Object.assign(this, { id, secret: first, incarnation: store, window: limits, silenceMs: ping_interval_ms + pong_wait_ms });
    this.#attach(0, 'opened');
  }
  #resumed({ secret: next }, received, delivered, sent) {
    if (!(this.trimmed <= delivered && delivered <= received && received <= this.sent && this.received <= sent)) return this.reset(DRIFT); // ATT-11
    this.secret = next;
    this.#trim(delivered);
    this.#attach(received, 'resumed', this.sent - received);
  }
  #attach(received, ...event) {
    Object.assign(this.link, { state: 'ATTACHED', sent: received, session: this.id });
    this.#state(8); // ATT-3
    this.#watch(this.silenceMs);
    this.emit(...event);
  }
  #message(more, part) { // the application takes each message at once: what is received is delivered
    if ((this.runBytes += part.length) > this.limits.message_bytes) return this.reset(OVERFLOW); // PRT-5
    this.delivered = this.received += 1;
    this.owedBytes += part.length;
    this.run.push(part);
    if (!more) this.emit('message', Buffer.concat(this.run.splice(0)), this.received, this.runBytes = 0);
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
  #leave(closed, kept, timer) { // the newest connection is over, and its session kept or not
    const { link, attached } = this;
    this.#write(link);
    clearTimeout(link.timer);
    Object.assign(link, { state: 'ENDED', timer });
    Object.assign(this, { link: null, ackTimer: clearTimeout(this.ackTimer) });
    if (closed) this.emit('closed', closed);
    if (attached && kept) this.emit('detached');
  }
  #over(why, told) { // the session is; counts of a RESET are used if they can be (RST-1), and the loss is told (RST-6)
    if (told && told[1] <= told[0] && told[0] <= this.sent) this.#trim(told[1]);
    const { accepted, known } = this, unknown = this.replay.filter(({ more }) => !more).length + (this.inRun ? 1 : 0);
    this.#clear();
    this.emit('reset', { reason: why, known_delivered: known, unknown, not_sent: accepted - known - unknown });
  }
  #trim(delivered) { // only what the peer has delivered trims the replay buffer and gives window back (CNT-3, CNT-6)
    for (const { more, body: part } of this.replay.splice(0, delivered - this.trimmed)) {
      this.trimmed += 1;
      this.replayBytes -= part.length;
      this.known += more ? 0 : 1;
    }
  }
  #open(state) { return this.#await(state, [1, [1], this.features, this.credentials, this.resumePeriodMs, this.limits]); }
  #await(state, packet) { // an answer, for as long as a handshake may take (ATT-20)
    Object.assign(this.link, { state }).out.push(packet);
    this.#watch(this.handshakeMs);
    this.#flush();
    return this.link;
  }
  #watch(ms) { // what has arrived is processed before any timeout (LIV-6)
    const { link } = this, timer = after(ms, () => setImmediate(() => link.timer === timer && link === this.link && this.close(TIMEOUT, 'silence')));
    clearTimeout(link.timer);
    link.timer = timer;
  }
  #state(kind, ...token) { // counts leave; their `sent` is the last MESSAGE before them on this connection (CNT-5)
    this.link.out.push([kind, ...token, [this.received, this.delivered, this.link.sent]]);
    Object.assign(this, { stated: this.delivered, owedBytes: 0, ackTimer: clearTimeout(this.ackTimer) });
  }
  #flush() {
    const { link, limits } = this, owed = this.delivered - this.stated;
    const many = owed >= 32 || owed * 4 >= limits.window_messages || this.owedBytes * 4 >= limits.window_bytes; // ACK-1
    if (this.attached) {
      this.#pump(link);
      if (link.pong !== undefined) this.#state(10, link.pong);
      else if (owed && (many || link.out.length)) this.#state(8); // ACK-3
      else if (owed) this.ackTimer ??= after(250, () => { this.#state(8); this.#flush(); }); // ACK-2
      link.pong = undefined;
    }
    if (link) this.#write(link);
  }
  #pump(link) { // send again what the peer has not received, then number what the window admits (ATT-12, NUM-1, WIN-1, WIN-2)
    for (; link.sent < this.sent || this.queue.length; link.sent += 1) {
      const { more, body: part } = this.replay[link.sent - this.trimmed] ?? this.queue[0], { window_messages, window_bytes } = this.window;
      if (link.sent === this.sent) {
        if (this.replay.length && (this.replay.length >= window_messages || this.replayBytes + part.length > window_bytes)) return;
        this.replay.push(this.queue.shift());
        Object.assign(this, { sent: this.sent + 1, replayBytes: this.replayBytes + part.length, inRun: more });
      }
      link.out.push([6, more, part]);
    }
  }
  #write({ out, carriage }) {
    while (out.length) {
      const batch = [encode(out.shift())]; // PKT-5: as many as surely fit
      for (let size = batch[0].length; out.length && size <= 65_472; size += batch.at(-1).length) batch.push(encode(out.shift()));
      carriage.send(Buffer.concat(batch));
    }
  }
}

const within = (least, most) => least + Math.random() * Math.max(0, most - least);
export class Client extends EventEmitter { // emits what its session does, and gap, refused, stopped; comes back until it is told not to
  #instance = randomBytes(16); #key = 0; #id = 0; #subscriptions = new Map(); #waiting = []; #open = new Map(); #idle = 0; #over = false;
  constructor(url, options) {
    super();
    this.session = new Session(options).on('message', (m) => this.#take(m)).on('opened', () => this.#admit()).on('reset', (r) => this.#lose(r));
    for (const name of ['opened', 'resumed', 'detached', 'reset', 'closed']) this.session.on(name, (...event) => this.emit(name, ...event));
    this.#dial(this.url = url);
  }
  publish(channel, data) { return this.#operate(5, channel, data, Buffer.concat([this.#instance, Buffer.from(`${this.#key += 1}`)])); } // PUB-6
  subscribe(channel, since, take) { // take({ epoch, offset, data }) for each publication; resolves to what SUBSCRIBED says
    this.#subscriptions.set(channel, { since, take });
    return this.#operate(1, [[channel, since]]);
  }
  close() { this.#over = true; this.session.close(); }
  #dial(url) {
    const { session } = this, before = session.received + session.trimmed;
    const ws = new WebSocket(url, 'hawser.v1', { perMessageDeflate: false, maxPayload: 131_072, maxFragments: 64, handshakeTimeout: 10_000 });
    const carriage = { send: (batch) => ws.send(batch), end: (code) => { ws.close(4000 + code); setTimeout(() => ws.terminate(), 1000).unref(); } };
    let link, left = false;
    const leave = (advice) => { // once: by a CLOSE, or by the end of the carriage
      if (left || advice.link !== link) return;
      left = session.off('closed', leave) && true;
      this.#idle = session.received + session.trimmed === before ? this.#idle + 1 : 0;
      this.#again(url, advice);
    };
    ws.on('open', () => { link = session.on('closed', leave).connect(carriage); }).on('error', () => {});
    ws.on('message', (batch, binary) => (binary ? session.receive(link, batch) : ws.close(1003))); // CAR-3
    ws.on('close', (code) => leave({ link, reconnect: code < 4300 || code > 4399 }, link && session.lost(link))); // CAR-5
  }
  #again(url, { reconnect, after_min_ms: least, after_max_ms: most, url: elsewhere }) {
    if (this.#over || !reconnect) return this.emit('stopped');
    const usual = Math.min(30_000, 500 * 2 ** this.#idle), there = new URL(elsewhere ?? url, url); // REC-1
    const wait = least || most ? within(least, most) : within(0, most === 0 ? Math.max(5000, usual) : usual); // REC-2: a server's CLOSE names times
    const safe = there.hostname === new URL(this.url).hostname && (there.protocol === 'wss:' || this.url.startsWith('ws:')); // CLS-8
    setTimeout(() => this.#over || this.#dial(safe ? there.href : url), wait);
  }
  #operate(kind, ...items) {
    return new Promise((resolve, reject) => { this.#admit(this.#waiting.push({ kind, items, resolve, reject })); });
  }
  #admit() { // OPS-2: what the server would answer BUSY waits here
    for (const { session } = this; session.id && this.#waiting.length; this.#waiting.shift()) {
      const operation = this.#waiting[0], message = encode([operation.kind, this.#id + 1, ...operation.items]);
      const size = [...this.#open.values()].reduce((sum, open) => sum + open.size, message.length);
      if (this.#open.size && (this.#open.size >= session.window.operations || size > session.window.operation_bytes)) return;
      this.#open.set(this.#id += 1, Object.assign(operation, { size: message.length, place: session.send(message) }));
    }
  }
  #lose({ known_delivered, unknown }) { // RST-9: what had a number is unknown, the rest was not sent; RST-10: subscribe again, in one packet
    const lost = [...this.#open.values(), ...this.#waiting.splice(0)];
    [this.#open, this.#id] = [new Map(), 0];
    for (const { place, reject } of lost) reject(new Error(place <= known_delivered + unknown ? 'OutcomeUnknown' : 'NotSent'));
    if (this.#subscriptions.size) this.#operate(1, [...this.#subscriptions].map(([channel, { since }]) => [channel, since])).catch(() => {});
  }
  #refused(names) { for (const name of names) this.emit('refused', name, this.#subscriptions.delete(name)); }
  #take(input) {
    const [message] = decodeOne(MESSAGES, input);
    const { kind, id, channel, position, epoch, offset } = message ?? {}, operation = this.#open.get(id), taker = this.#subscriptions.get(channel);
    if (kind === 'CALL') this.session.send(encode([14, id, 3, 'no procedures here', false, null])); // CAL-1
    else if (kind === 'PUBLICATION' || kind === 'POSITION' || kind === 'GAP') {
      if (taker) taker.since = position ?? [epoch, offset];
      if (kind === 'PUBLICATION') taker?.take(message);
      else if (kind === 'GAP') this.emit('gap', message);
    } else if (kind === 'UNSUBSCRIBED') this.#refused(message.channels); // nothing here unsubscribes: the server has ended it (SUB-7)
    else if (['SUBSCRIBED', 'PUBLISHED', 'ERROR'].includes(kind) && operation) { // MSG-6
      this.#open.delete(id);
      for (const [name, status, since] of kind === 'SUBSCRIBED' ? message.channels : []) { // SUB-2
        if (status > 2) this.#refused([name]);
        else Object.assign(this.#subscriptions.get(name) ?? {}, { since });
        if (status === 2) this.emit('gap', { channel: name, position: since });
      }
      this.#admit(kind === 'ERROR' ? operation.reject(Object.assign(new Error(), message)) : operation.resolve(message));
    } else if (['SUBSCRIBE', 'UNSUBSCRIBE', 'PUBLISH', 'PAUSE', 'CONTINUE'].includes(kind)) fail('MSG-4', kind);
  }
}
