// Speaks to a server for the tests: `node speak.js URL sub CHANNEL COUNT` prints COUNT publications, one JSON line each;
// `node speak.js URL pub CHANNEL` publishes each JSON line of its input and prints where it went, in their order.
// Their data is one CBOR value, as in Hawser's own programs. What happens to the session is told on stderr.
import { createInterface } from 'node:readline';
import { decode, encode } from './cbor.js';
import { Client } from './hawser.js';

const [url, action, channel, count] = process.argv.slice(2);
const client = new Client(url, {});
for (const name of ['opened', 'resumed', 'detached', 'reset', 'gap', 'refused', 'stopped']) {
  client.on(name, (details) => process.stderr.write(`${name} ${JSON.stringify(details) ?? ''}`.trim().concat('\n')));
}
client.on('closed', ({ code, reason }) => process.stderr.write(`closed ${code} ${reason ?? ''}\n`));
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

if (action === 'sub') {
  let missing = Number(count);
  const { channels: [[, status]] } = await client.subscribe(channel, null, ({ epoch, offset, data }) => {
    if (missing === 0) return;
    print({ channel, epoch: Buffer.from(epoch).toString('hex'), offset, data: decode(data)[0] });
    missing -= 1;
    if (missing === 0) client.close();
  });
  process.stderr.write(`subscribed ${channel} ${status}\n`);
} else {
  const answers = [];
  for await (const line of createInterface({ input: process.stdin })) answers.push(client.publish(channel, encode(JSON.parse(line))));
  for (const { position: [, offset], duplicate } of await Promise.all(answers)) print({ offset, duplicate });
  client.close();
}
