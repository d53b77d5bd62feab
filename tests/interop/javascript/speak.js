// Speaks to a server for the tests: `node speak.js URL sub CHANNEL COUNT` prints COUNT publications, one JSON line each;
// `node speak.js URL pub CHANNEL` publishes each JSON line of its input and prints where it went, in their order.
// Their data is one CBOR value, as in Hawser's own programs. What happens to the session is told on stderr.
import { createInterface } from 'node:readline';
import { decode, encode } from './cbor.js';
import { Client } from './hawser.js';

const [url, action, channel, count] = process.argv.slice(2);
const client = new Client(url);
const tell = (...words) => process.stderr.write(`${words.join(' ')}\n`);
for (const name of ['opened', 'detached', 'stopped']) client.on(name, () => tell(name));
client.on('resumed', (replayed) => tell('resumed', replayed)).on('closed', ({ code, reason }) => tell('closed', code, reason));
client.on('reset', (loss) => tell('reset', JSON.stringify(loss)));
client.on('GAP', ({ reason }) => tell('gap', reason)).on('UNSUBSCRIBED', ({ code }) => tell('unsubscribed', code));
client.on('SUBSCRIBED', ({ channels }) => channels.forEach(([name, status]) => tell(status === 2 ? 'gap' : 'subscribed', name, status)));
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

if (action === 'sub') {
  let missing = Number(count);
  client.on('PUBLICATION', ({ epoch, offset, data }) => {
    if (missing === 0) return;
    print({ channel, epoch: Buffer.from(epoch).toString('hex'), offset, data: decode(data)[0] });
    missing -= 1;
    if (missing === 0) client.stop();
  });
  await client.subscribe([channel, null]);
} else {
  const answers = [];
  for await (const line of createInterface({ input: process.stdin })) answers.push(client.publish(channel, encode(JSON.parse(line))));
  for (const { position: [, offset], duplicate } of await Promise.all(answers)) print({ offset, duplicate });
  client.stop();
}
