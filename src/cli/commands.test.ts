import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openBed, run } from './test-kit.ts'

/** The fields that the cases look at. */
interface Shown {
  readonly id?: string
  readonly messageId?: string
  readonly name?: string
  readonly username?: string
  readonly secret?: string
  readonly status?: string
  readonly domain?: string
  readonly account?: string
  readonly reversePath?: string
  readonly recipients?: readonly Shown[]
  readonly events?: readonly Shown[]
  readonly recipientId?: string
  readonly state?: string
  readonly type?: string
  readonly seq?: number
  readonly done?: number
  readonly inFlight?: number
}

function json<T = Shown>(text: string): T {
  return JSON.parse(text) as T
}

test('an account, a credential and a domain from the command line, by id or by name', async () => {
  await using bed = await openBed()
  const account = json((await bed.run('account create shop --json')).stdout)
  assert.equal(account.name, 'shop')
  const credential = json(
    (await bed.run(`--json credential create --account ${account.id} --kind smtp`)).stdout,
  )
  assert.match(credential.username ?? '', /^shop-/)
  assert.match(credential.secret ?? '', /^pr_/)
  const domain = json((await bed.run('domain add --account shop Shop.Example --trust --json')).stdout)
  assert.deepEqual([domain.domain, domain.status], ['shop.example', 'trusted'])
  const table = (await bed.run('domain list')).stdout
  assert.match(table, /^DOMAIN +ACCOUNT +STATUS +DKIM +ID\nshop\.example +shop +trusted +signs +dom_/)
  const shown = (await bed.run('domain show shop.example')).stdout
  assert.match(shown, /it may send, signed/)
  assert.match(shown, /_domainkey\.shop\.example/)
  const revoked = await bed.run(`credential revoke ${credential.username}`)
  assert.equal(revoked.code, 0)
  assert.match((await bed.run('credential list')).stdout, /revoked 2027-/)
  const again = await bed.run('account create shop')
  assert.equal(again.code, 1)
  assert.match(again.stderr, /^error: there is already an account shop\npostrider account list\n$/)
})

test('the secret is shown when it is made and never again', async () => {
  await using bed = await openBed()
  await bed.run('account create shop')
  const { secret = '' } = json((await bed.run('credential create --account shop --json')).stdout)
  for (const line of ['credential list', 'credential list --json', 'events', 'account list --json'])
    assert.ok(!(await bed.run(line)).stdout.includes(secret), line)
})

test('message show tells the whole story and the same as JSON', async () => {
  await using bed = await openBed()
  await bed.run('account create shop')
  const message = await bed.accept({ to: ['a@one.test', 'b@one.test'], startState: 'leased' })
  await bed.settle(message, 0, 'delivered')
  await bed.settle(message, 1, 'bounced')
  const story = (await bed.run(`message show ${message.text}`)).stdout
  assert.match(story, /accepted by smtp from app\.example\.test \[127\.0\.0\.9\] as apikey over TLSv1\.3/)
  assert.match(story, /signed by d=example\.test s=pr-abc-rsa\n/)
  assert.match(
    story,
    /delivered a@one\.test attempt 1 to mx1\.receiver\.test \[127\.77\.0\.1:2526\] over TLSv1\.3/,
  )
  assert.match(story, /bounced b@one\.test attempt 1 at mx1/)
  assert.match(story, /550 5\.1\.1 no such user\\x1b\[31m/, 'the peer does not colour our terminal')
  assert.ok(!story.includes('\x1b'))
  const shown = json((await bed.run(`message show ${message.text}.1 --json`)).stdout)
  assert.deepEqual(Object.keys(shown).slice(0, 2), ['id', 'account'])
  assert.equal(shown.reversePath, 'sender@example.test')
  assert.deepEqual(
    shown.recipients?.map(one => [one.id, one.state]),
    [
      [`${message.text}.0`, 'delivered'],
      [`${message.text}.1`, 'bounced'],
    ],
  )
  assert.deepEqual(
    shown.events?.map(one => one.type),
    ['accepted', 'delivered', 'bounced'],
  )
  assert.equal((await bed.run(`message show msg_${'a'.repeat(26)}`)).code, 1)
})

test('queue list is an array; the cursor of the next page goes to standard error', async () => {
  await using bed = await openBed()
  const message = await bed.accept({ to: ['a@one.test', 'b@one.test'] })
  const first = await bed.run('queue list --limit 1 --json')
  assert.deepEqual(
    json<Shown[]>(first.stdout).map(row => row.recipientId),
    [`${message.text}.0`],
  )
  const cursor = /--cursor (\S+)/.exec(first.stderr)?.[1] ?? ''
  const second = await bed.run(`queue list --cursor ${cursor} --json`)
  assert.deepEqual(
    json<Shown[]>(second.stdout).map(row => row.recipientId),
    [`${message.text}.1`],
  )
  assert.equal(second.stderr, '')
})

test('queue list says with what words who waits was put off', async () => {
  await using bed = await openBed()
  const message = await bed.accept({ to: ['a@one.test', 'b@one.test'], startState: 'leased' })
  await bed.settle(message, 0, 'deferred')
  const { stdout } = await bed.run('queue list')
  assert.match(stdout, /\.0 .*waits for its next attempt, at \S+; last: 451 4\.2\.0 as told$/m)
  assert.match(stdout, /\.1 .*in the ready queue or in flight$/m)
})

test('with --page a program finds the cursor of the next page in the JSON, and null at the end', async () => {
  await using bed = await openBed()
  const first = await bed.accept({ to: ['a@one.test'] })
  const second = await bed.accept({ to: ['b@one.test'] })
  const idsOf = async (line: string): Promise<unknown[]> => {
    const ids: unknown[] = []
    for (let more = ''; ; ) {
      const { stdout, stderr } = await bed.run(`${line} --limit 1 --json --page${more}`)
      assert.equal(stderr, '')
      const { items, cursor } = json<{ items: Shown[]; cursor: string | null }>(stdout)
      ids.push(...items.map(row => row.messageId ?? row.id))
      if (cursor === null) return ids
      more = ` --cursor ${cursor}`
    }
  }
  assert.deepEqual(await idsOf('queue list'), [first.text, second.text])
  assert.deepEqual(await idsOf('message list'), [second.text, first.text])
  const people = await bed.run('queue list --limit 1 --page')
  assert.match(people.stdout, /^RECIPIENT/)
  assert.match(people.stderr, /^more: postrider queue list --limit 1 --page --cursor \S+\n$/)
})

test('the last line for people is the command for the next page, with all that this one was asked for', async () => {
  await using bed = await openBed()
  const { text } = await bed.accept({ to: ['a@one.test', 'b@two.test', 'c@one.test', 'd@one.test'] })
  await bed.accept({ to: ['e@one.test'] })
  writeFileSync(join(bed.dataDir, 'my own.toml'), 'hostname = "mx.example.test"\ndata_dir = "."\n')
  const found: string[] = []
  for (let argv = ['--config', 'my own.toml', 'queue', 'list', text, '--domain=one.test', '--limit=1']; ; ) {
    const { stdout, stderr } = await run(argv, { cwd: bed.dataDir })
    // A full page may be the last one: then the next is empty.
    found.push(...(stdout.match(/^msg_\S+/gm) ?? []))
    if (stderr === '') break
    const more =
      /^more: (postrider queue list .* --config 'my own\.toml' --cursor \S+)\n$/.exec(stderr)?.[1] ?? ''
    const words = execFileSync('sh', ['-c', `printf '%s\\n' ${more}`], { encoding: 'utf8' }).split('\n')
    argv = words.slice(1, -1)
  }
  assert.deepEqual(found, [`${text}.0`, `${text}.2`, `${text}.3`])
})

test('a mass change needs --yes without a terminal, a yes on one, and one recipient needs neither', async () => {
  await using bed = await openBed()
  const message = await bed.accept({ to: ['a@one.test', 'b@one.test'] })
  const refused = await bed.run('queue hold --all --json')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /"code":"needs-confirmation"/)
  const declined = await bed.run('queue hold --all', { isTerminal: true, input: 'n\n' })
  assert.equal(declined.code, 1)
  assert.match(declined.stderr, /hold 2 recipients\? \[y\/N\]/)
  assert.deepEqual(bed.told, [], 'nothing was recalled for nothing')
  const one = await bed.run(`queue hold ${message.text}.0 --json`)
  assert.equal(json(one.stdout).done, 1)
  const agreed = await bed.run('queue expire --domain one.test', { isTerminal: true, input: 'y\n' })
  assert.equal(agreed.code, 0)
  assert.match(agreed.stdout, /2 recipients expired/)
  const nothing = await bed.run('queue release --all --yes --json')
  assert.deepEqual([nothing.code, json(nothing.stdout).done], [0, 0])
})

test('two values for one filter are refused, and nothing is done to either', async () => {
  await using bed = await openBed()
  const one = await bed.accept({ to: ['a@one.test'] })
  const two = await bed.accept({ to: ['b@two.test'] })
  const waiting = async (): Promise<number> =>
    json<Shown[]>((await bed.run('queue list --json')).stdout).length
  for (const filter of [
    `${one.text} --message ${two.text}`,
    `${one.text}.0 --recipient ${two.text}.0`,
    `--message ${one.text} --message ${two.text}`,
    `--recipient=${one.text}.0 --recipient=${two.text}.0`,
    '--domain one.test --domain two.test',
    '--state scheduled --state held',
  ]) {
    const { code, stderr } = await bed.run(`queue expire ${filter} --yes --json`)
    assert.deepEqual([code, await waiting()], [2, 2], filter)
    assert.match(stderr, /"code":"usage"/)
    assert.equal((await bed.run(`queue list ${filter}`)).code, 2, filter)
  }
  const other = await bed.run(`queue expire ${one.text} --recipient ${two.text}.0 --yes`)
  assert.deepEqual([other.code, await waiting()], [1, 2])
  assert.deepEqual(bed.told, [])
  const same = await bed.run(`queue expire ${one.text} --message ${one.text} --json`)
  assert.equal(json(same.stdout).done, 1)
})

test('events are JSON lines in every mode, from the oldest, and then the command ends', async () => {
  await using bed = await openBed()
  for (let i = 0; i < 3; i++) await bed.accept({ to: ['a@one.test'] })
  const { code, stdout } = await bed.run('events', { isTerminal: true })
  assert.equal(code, 0)
  const lines = stdout.trimEnd().split('\n')
  const seqs = lines.map(line => json(line).seq ?? 0)
  assert.equal(lines.length, 3)
  assert.deepEqual(
    seqs,
    [...seqs].sort((a, b) => a - b),
  )
  const rest = await bed.run(`events --after ${seqs[0]} --limit 1`)
  assert.equal(json(rest.stdout).seq, seqs[1])
})

test('colours are for terminals, and not even there with NO_COLOR', async () => {
  await using bed = await openBed()
  await bed.run('account create shop')
  await bed.run('domain add a.example --account shop --trust')
  assert.ok(!(await bed.run('domain list')).stdout.includes('\x1b'))
  assert.ok((await bed.run('domain list', { isTerminal: true })).stdout.includes('\x1b[32m'))
  assert.ok(
    !(await bed.run('domain list', { isTerminal: true, env: { NO_COLOR: '1' } })).stdout.includes('\x1b'),
  )
})

test('a server that refuses is quoted with its code', async () => {
  await using bed = await openBed()
  const { code, stderr } = await bed.run('domain add --account nobody a.example --json')
  assert.equal(code, 1)
  assert.deepEqual(json<{ error: unknown }>(stderr).error, {
    code: 'not-found',
    message: 'there is no account "nobody"',
    hint: 'postrider account list shows which there are; to make it: postrider account create nobody',
  })
})
