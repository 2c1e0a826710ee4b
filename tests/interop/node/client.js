'use strict';
// The Node client of the interop suite: `client.js NAME_SERVER PREFIX before|after`.
//
// Prints one line a check, `ok NAME` or `FAIL NAME: why`. Its topics exist already (the client never asks for TBW102).
// "after" runs once the server was restarted. It can neither send batches, asynchronously or oneway, nor pull, nor consume orderly.
// RocketMQ promises "at least once", and this client loses its last commits when it ends: no message may be missing and none
// foreign, repeats are counted in the ok line.

const { Consumer, Message, Producer } = require('ali-ons');
const Channel = require('ali-ons/lib/channel');

const [ nameServer, prefix, phase ] = process.argv.slice(2);
const WAIT_MS = 120000;
const quiet = { info() {}, warn() {}, debug() {}, error(...what) { console.error(...what); } };
const common = { httpclient: {}, nameSrv: [ nameServer ], clientIP: '127.0.0.1', logger: quiet };
// A stall of 3 s at a consumer's start is an error that nobody tells, and then it never begins.
const invoke = Channel.prototype.invoke;
Channel.prototype.invoke = function(command, timeout) {
  return invoke.call(this, command, Math.max(timeout || 0, 15000));
};
let producer;
let instances = 0;
let repeats = 0;

async function check(name, body) {
  const started = Date.now();
  repeats = 0;
  try {
    await body();
    console.log(`ok ${name}\t${Date.now() - started} ms${repeats ? `, ${repeats} repeats` : ''}`);
  } catch (error) {
    console.log(`FAIL ${name}: ${String(error).replace(/\n/g, ' ')}`);
  }
}

function require_(holds, why) {
  if (!holds) throw new Error(why);
}

async function waitFor(what, condition) {
  const deadline = Date.now() + WAIT_MS;
  while (!condition()) {
    require_(Date.now() < deadline, `timed out: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

function message(topic, body, tags, keys) {
  const made = new Message(prefix + topic, tags || null, body);
  if (keys) made.keys = keys;
  return made;
}

async function sendNumbered(topic, text, first, end) {
  for (let i = first; i < end; i++) {
    const sent = await producer.send(message(topic, text + i));
    require_(sent.sendStatus === 'SEND_OK', `status ${sent.sendStatus}`);
  }
}

// A push consumer that remembers what it was given.
function consume(group, topic, { tags = '*', broadcast = false, handle = () => undefined } = {}) {
  const seen = { messages: [], consumer: new Consumer({ ...common, consumerGroup: prefix + group, isBroadcast: broadcast,
    instanceName: `${process.pid}-${++instances}`, consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' }) };
  seen.consumer.on('error', () => undefined); // the retry topic has no route at first, which is normal
  seen.consumer.subscribe(prefix + topic, tags, async received => {
    seen.messages.push({ body: received.body.toString(), at: Date.now(), reconsumeTimes: received.reconsumeTimes, keys: received.keys });
    return handle(received);
  });
  seen.bodies = () => seen.messages.map(received => received.body);
  seen.wait = count => waitFor(`${count} different messages consumed`, () => new Set(seen.bodies()).size >= count);
  seen.close = () => seen.consumer.close();
  return seen;
}

// Each of them is there and nothing else; those that are there again are counted.
function requireSet(bodies, wanted) {
  const found = new Set(bodies);
  const missing = wanted.filter(body => !found.has(body));
  const foreign = [ ...found ].filter(body => !wanted.includes(body));
  require_(!missing.length && !foreign.length, `missing ${missing}, foreign ${foreign}`);
  repeats += bodies.length - found.size;
}

function numbered(text, first, end) {
  return Array.from({ length: end - first }, (_, i) => text + (first + i));
}

function requireNumbered(bodies, text, first, end) {
  requireSet(bodies, numbered(text, first, end));
}

async function sendSync() {
  for (let i = 0; i < 20; i++) {
    const sent = await producer.send(message('_Basic', `sync-${i}`, 'A', [ `${prefix}-key-${i}` ]));
    require_(sent.sendStatus === 'SEND_OK' && /^[0-9A-F]{32}$/.test(sent.msgId), `result ${JSON.stringify(sent)}`);
  }
}

async function sendManyAtOnce() {
  const sent = await Promise.all(Array.from({ length: 50 }, (_, i) => producer.send(message('_Basic', `many-${i}`))));
  require_(sent.every(one => one.sendStatus === 'SEND_OK'), 'a status');
}

async function pushClustering() {
  const seen = consume('_ClusterGroup', '_Cluster');
  await sendNumbered('_Cluster', 'c-', 0, 50);
  await seen.wait(50);
  await seen.close();
  requireNumbered(seen.bodies(), 'c-', 0, 50);
}

async function pushBroadcasting() {
  const both = [ consume('_BroadcastGroup', '_Broadcast', { broadcast: true }), consume('_BroadcastGroup', '_Broadcast', { broadcast: true }) ];
  await sendNumbered('_Broadcast', 'b-', 0, 20);
  for (const seen of both) {
    await seen.wait(20);
    requireNumbered(seen.bodies(), 'b-', 0, 20);
  }
  for (const seen of both) await seen.close();
}

async function tagFilter() {
  const seen = consume('_TagsGroup', '_Tags', { tags: 'red || blue' });
  for (let i = 0; i < 30; i++) await producer.send(message('_Tags', `${i % 3}-${i}`, [ 'red', 'green', 'blue' ][i % 3]));
  await seen.wait(20);
  await seen.close();
  requireSet(seen.bodies(), Array.from({ length: 30 }, (_, i) => `${i % 3}-${i}`).filter(body => !body.startsWith('1-')));
}

async function delayLevel() {
  const seen = consume('_DelayGroup', '_Delay');
  const late = message('_Delay', 'late');
  late.delayTimeLevel = 2;
  const sent = Date.now();
  await producer.send(late);
  await seen.wait(1);
  await seen.close();
  require_(seen.messages[0].at - sent >= 4990, `came after ${seen.messages[0].at - sent} ms`);
}

async function compressedBody() {
  const body = 'compress me '.repeat(4000);
  const seen = consume('_LargeGroup', '_Large');
  await producer.send(message('_Large', body, 'L', [ 'some', 'keys' ]));
  await seen.wait(1);
  await seen.close();
  require_(seen.messages[0].body === body && seen.messages[0].keys === 'some keys', 'body or keys differ');
}

// Ends the consumer; of what it was given at the place where an earlier one stopped, only a part may come again.
async function closeRestarted(seen, known, first, end) {
  await seen.close();
  const bodies = seen.bodies();
  const again = bodies.filter(body => known.includes(body));
  require_(!known.length || known.some(body => !again.includes(body)), 'everything came again: no offset was kept');
  requireNumbered(bodies.filter(body => !known.includes(body)), 'r-', first, end);
  repeats += again.length;
}

async function consumerRestart() {
  const first = consume('_RestartGroup', '_Restart');
  await sendNumbered('_Restart', 'r-', 0, 20);
  await first.wait(20);
  await closeRestarted(first, [], 0, 20);
  await sendNumbered('_Restart', 'r-', 20, 40);
  const second = consume('_RestartGroup', '_Restart');
  await waitFor('20 more consumed', () => numbered('r-', 20, 40).every(body => second.bodies().includes(body)));
  await closeRestarted(second, numbered('r-', 0, 20), 20, 40);
  await sendNumbered('_Restart', 'r-', 40, 50);
}

async function consumerAfterRestart() {
  await sendNumbered('_Restart', 'r-', 50, 60);
  const seen = consume('_RestartGroup', '_Restart');
  await waitFor('20 consumed', () => numbered('r-', 40, 60).every(body => seen.bodies().includes(body)));
  await closeRestarted(seen, numbered('r-', 0, 40), 40, 60);
}

async function main() {
  producer = new Producer({ ...common, producerGroup: `${prefix}_Producer`, sendMsgTimeout: 10000 });
  await producer.ready();
  if (phase === 'before') {
    // Its first retry comes after 10 s and the route of the retry topic late: it waits beside the others.
    const retried = consume('_RetryGroup', '_Retry', { handle: received => (received.reconsumeTimes === 0 ? Consumer.ACTION_RETRY : undefined) });
    await producer.send(message('_Retry', 'again'));
    await check('send sync', sendSync);
    await check('many sends at once', sendManyAtOnce);
    await check('push clustering', pushClustering);
    await check('push broadcasting', pushBroadcasting);
    await check('tag filter', tagFilter);
    await check('delay level', delayLevel);
    await check('compressed body', compressedBody);
    await check('consumer restart keeps offsets', consumerRestart);
    await check('retry', async () => {
      await waitFor('the retry', () => retried.messages.some(received => received.reconsumeTimes === 1));
      require_(retried.messages[0].reconsumeTimes === 0 && retried.bodies().every(body => body === 'again'), 'reconsume times or bodies');
    });
  } else {
    await check('consumer goes on after the node\'s restart', consumerAfterRestart);
  }
}

main().then(() => process.exit(0), error => {
  console.error(error);
  process.exit(1);
});
