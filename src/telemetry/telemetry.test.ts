import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { Histogram, LabelledCounter } from './counters.ts'
import { createLog, hideSecrets, type Log } from './log.ts'
import { logEvents } from './log-events.ts'
import { Metrics, mergeMetrics } from './metrics.ts'
import { type LateTurn, RuntimeWatch } from './runtime-watch.ts'

function capture(level: 'debug' | 'info' = 'debug'): { log: Log; lines: string[] } {
  const lines: string[] = []
  return {
    log: createLog({ level, output: { write: line => lines.push(line) }, fields: { thread: 'main' } }),
    lines,
  }
}

test('a log line is one JSON object with ISO time, level, thread, event and fields', () => {
  const { log, lines } = capture()
  log.with({ session: 7 }).event('listener.open', { address: '127.0.0.1:2525' })
  const line = JSON.parse(lines[0]!)
  assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  delete line.time
  assert.deepEqual(line, {
    level: 'info',
    thread: 'main',
    session: 7,
    event: 'listener.open',
    address: '127.0.0.1:2525',
  })
})

test('events under the level are not written, and the log says so beforehand', () => {
  const { log, lines } = capture('info')
  assert.equal(log.writes('message.accepted'), false)
  assert.equal(log.writes('server.failed'), true)
  log.event('message.accepted')
  assert.equal(lines.length, 0)
})

test('secrets never reach a line, whether by field, in an error, or in the text of a command', () => {
  const { log, lines } = capture()
  const secret = `pr_${'a2'.repeat(26)}`
  const pem = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAcanary\n-----END PRIVATE KEY-----'
  log.event('auth.failed', { password: 'canary', nested: { secret: 'canary', authorization: 'canary' } })
  log.event('auth.failed', { line: 'AUTH PLAIN AGNhbmFyeQBjYW5hcnk=', other: 'auth login Y2FuYXJ5' })
  log.event('server.failed', {
    err: new Error(`bad ${secret}`),
    header: 'Authorization: Bearer canary-canary-canary',
  })
  log.event('server.failed', { text: `${pem} ${secret}` })
  assert.equal(lines.length, 4)
  const all = lines.join('')
  for (const part of ['canary', 'AGNhbmFyeQBjYW5hcnk', 'Y2FuYXJ5', secret])
    assert.ok(!all.includes(part), `${part} in ${all}`)
  for (const line of lines) assert.equal(JSON.parse(line).thread, 'main')
})

test('hiding secrets leaves other lines as they are and never breaks their JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      const line = JSON.stringify({ value })
      JSON.parse(hideSecrets(line))
    }),
  )
  const line = '{"text":"250 2.0.0 Queued as msg_abc, AUTH is offered, Basic rules"}'
  assert.equal(hideSecrets(line), line)
})

test('every log event has a stable dotted name and says when it is written', () => {
  for (const [name, kind] of Object.entries(logEvents)) {
    assert.match(name, /^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*$/)
    assert.match(kind.text, /[.]$/)
  }
})

test('every metric says what it means, what is healthy and when to alert', () => {
  const names = new Set<string>()
  for (const { text } of new Metrics().all()) {
    assert.match(text.name, /^postrider_[a-z_]+$/)
    for (const sentence of [text.help, text.healthy, text.alert]) assert.ok(sentence.length > 1, text.name)
    assert.ok(!names.has(text.name), text.name)
    names.add(text.name)
  }
})

test('what several threads counted is added up in one text; the worst delay wins', async () => {
  const [a, b] = [new Metrics(), new Metrics()]
  a.accepted.child('smtp').inc(2)
  b.accepted.inc('smtp')
  a.commitsFailed.inc()
  a.sessionsOpen.add(5)
  a.sessionsOpen.add(-1)
  b.sessionsOpen.set(3)
  a.acceptSeconds.observe(0.002)
  b.acceptSeconds.observe(0.2)
  b.acceptSeconds.observe(9999)
  a.eventLoopDelay.set(0.01, '0.99')
  b.eventLoopDelay.set(0.3, '0.99')
  const text = await mergeMetrics(structuredClone([a.collect(), b.collect()]))
  for (const line of [
    'postrider_messages_accepted_total{door="smtp"} 3',
    'postrider_commits_failed_total 1',
    'postrider_sessions_open 7',
    'postrider_accept_seconds_bucket{le="0.0025"} 1',
    'postrider_accept_seconds_bucket{le="0.25"} 2',
    'postrider_accept_seconds_bucket{le="+Inf"} 3',
    'postrider_accept_seconds_count 3',
    'postrider_event_loop_delay_seconds{quantile="0.99"} 0.3',
    'postrider_outcomes_total{kind="bounced"} 0',
    '# TYPE postrider_accept_seconds histogram',
  ])
    assert.ok(text.split('\n').includes(line), `${line} is missing in:\n${text}`)
})

test('label values beyond a hundred are counted together, so that nobody can grow the memory', () => {
  const counter = new LabelledCounter({
    name: 'postrider_x_total',
    help: 'x',
    healthy: 'x',
    alert: 'x',
    label: 'x',
  })
  for (let i = 0; i < 1000; i++) counter.inc(`value ${i}`)
  const { values } = counter.collect()
  assert.equal(values.length, 101)
  assert.equal(values.find(({ labels: { x } }) => x === 'other')?.value, 900)
})

test('the buckets of a histogram are cumulative, and the last one holds everything', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 20, noNaN: true })), observed => {
      const histogram = new Histogram(
        { name: 'postrider_y', help: 'y', healthy: 'y', alert: 'y' },
        [1, 5, 10],
      )
      for (const value of observed) histogram.observe(value)
      const { values } = histogram.collect()
      for (const { labels, value } of values.filter(one => one.metricName === 'postrider_y_bucket')) {
        const { le } = labels
        const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le)
        assert.equal(value, observed.filter(one => one <= bound).length)
      }
    }),
  )
})

test('the runtime watch tells memory and delay, and only the main thread the memory of the process', () => {
  const main = new Metrics()
  using watch = new RuntimeWatch(main, true, () => {})
  watch.sample()
  const kinds = main.memory.collect().values.map(({ labels: { kind } }) => kind)
  assert.deepEqual(kinds, ['resident', 'heap', 'external'])
  for (const { value } of main.eventLoopDelay.collect().values)
    assert.ok(value >= 0 && Number.isFinite(value))
  const relay = new Metrics()
  using other = new RuntimeWatch(relay, false, () => {})
  other.sample()
  assert.equal(relay.memory.collect().values.length, 2)
})

test('a loop that stands still right after a scrape is told by the next one, and by a call', async () => {
  const metrics = new Metrics()
  const late: LateTurn[] = []
  using watch = new RuntimeWatch(metrics, false, turn => late.push(turn))
  const longestSeconds = (): number => {
    watch.sample()
    const { values } = metrics.eventLoopDelay.collect()
    return values.find(({ labels: { quantile } }) => quantile === '1')!.value
  }
  await sleep(50)
  watch.sample()
  const before = process.threadCpuUsage()
  while (process.threadCpuUsage(before).user < 300_000);
  await sleep(50)
  const told = longestSeconds()
  assert.ok(told >= 0.25)
  await sleep(50)
  assert.ok(longestSeconds() < told, 'told once')
  // A machine that stands still makes turns late, too, and lets nothing be computed.
  const ours = late.filter(({ lateMs, cpuMs }) => lateMs >= 250 && cpuMs >= 250)
  assert.equal(ours.length, 1, 'and by itself, with what the thread computed')
})
