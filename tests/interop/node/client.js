'use strict';
// The Node client of the interop suite: `client.js NAME_SERVER PREFIX before|after`.
//
// Prints one line a check, `ok NAME` or `FAIL NAME: why`. Its topics exist already (the client never asks for TBW102).
// "after" runs once the server was restarted. It can neither send batches, asynchronously or oneway, nor pull, nor consume orderly.

const { Consumer, Message, Producer } = require('ali-ons');

const [ nameServer, prefix, phase ] = process.argv.slice(2);
const WAIT_MS = 60000;
const quiet = { info() {}, warn() {}, debug() {}, error(...what) { console.error(...what); } };
const common = { httpclient: {}, nameSrv: [ nameServer ], clientIP: '127.0.0.1', logger: quiet };
let producer;
let instances = 0;

async function check(name, body) {
  const started = Date.now();
  try {
    await body();
    console.log(`ok ${name}\t${Date.now() - started} ms`);
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
  seen.wait = count => waitFor(`${count} consumed`, () => seen.messages.length >= count);
  seen.close = () => seen.consumer.close();
  return seen;
}

function requireNumbered(bodies, text, first, end) {
  const wanted = [];
  for (let i = first; i < end; i++) wanted.push(text + i);
  require_(JSON.stringify([ ...bodies ].sort()) === JSON.stringify(wanted.sort()), `got ${bodies}`);
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
  require_(seen.messages.length === 20 && !seen.bodies().some(body => body.startsWith('1-')), `consumed ${seen.bodies()}`);
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

async function consumerRestart() {
  const first = consume('_RestartGroup', '_Restart');
  await sendNumbered('_Restart', 'r-', 0, 20);
  await first.wait(20);
  await first.close();
  await sendNumbered('_Restart', 'r-', 20, 40);
  const second = consume('_RestartGroup', '_Restart');
  await second.wait(20);
  await second.close();
  requireNumbered(first.bodies(), 'r-', 0, 20);
  requireNumbered(second.bodies(), 'r-', 20, 40);
  await sendNumbered('_Restart', 'r-', 40, 50);
}

async function consumerAfterRestart() {
  await sendNumbered('_Restart', 'r-', 50, 60);
  const seen = consume('_RestartGroup', '_Restart');
  await seen.wait(20);
  await seen.close();
  requireNumbered(seen.bodies(), 'r-', 40, 60);
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
      await retried.wait(2);
      require_(retried.messages.map(received => received.reconsumeTimes).join() === '0,1', 'reconsume times');
    });
  } else {
    await check('consumer goes on after the node\'s restart', consumerAfterRestart);
  }
}

main().then(() => process.exit(0), error => {
  console.error(error);
  process.exit(1);
});
