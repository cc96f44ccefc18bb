import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { startReceiver } from './receiver.ts'

/** A strict receiver with these keywords, the lines that are said to it one after the other, and its last reply. */
const cases: readonly (readonly [string, readonly string[], readonly string[], RegExp])[] = [
  ['BODY without 8BITMIME', ['SIZE'], ['MAIL FROM:<a@b.test> BODY=8BITMIME'], /^555 5\.5\.4 /],
  ['SIZE without SIZE', ['8BITMIME'], ['MAIL FROM:<a@b.test> SIZE=10'], /^555 5\.5\.4 /],
  ['SMTPUTF8 without SMTPUTF8', ['8BITMIME'], ['MAIL FROM:<a@b.test> SMTPUTF8'], /^555 5\.5\.4 /],
  ['RET without DSN', ['SIZE'], ['MAIL FROM:<a@b.test> RET=HDRS'], /^555 5\.5\.4 /],
  ['a parameter of nobody', ['SIZE', 'DSN'], ['MAIL FROM:<a@b.test> X=1'], /^555 5\.5\.4 /],
  ['a SIZE above the limit', ['SIZE 100'], ['MAIL FROM:<a@b.test> SIZE=101'], /^552 5\.3\.4 /],
  ['a SIZE at the limit', ['SIZE 100'], ['MAIL FROM:<a@b.test> SIZE=100'], /^250 /],
  ['a SIZE that is no number', ['SIZE 100'], ['MAIL FROM:<a@b.test> SIZE=x'], /^501 /],
  ['a UTF-8 sender that is not declared', ['SMTPUTF8'], ['MAIL FROM:<ü@b.test>'], /^553 5\.6\.7 /],
  [
    'all that was offered',
    ['8BITMIME', 'SMTPUTF8', 'SIZE', 'DSN'],
    ['MAIL FROM:<ü@b.test> SIZE=9 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x'],
    /^250 /,
  ],
  ['NOTIFY without DSN', [], ['MAIL FROM:<>', 'RCPT TO:<b@b.test> NOTIFY=NEVER'], /^555 5\.5\.4 /],
  [
    'a UTF-8 recipient that is not declared',
    ['SMTPUTF8'],
    ['MAIL FROM:<>', 'RCPT TO:<ü@b.test>'],
    /^553 5\.6\.7 /,
  ],
  [
    '8-bit content that is not declared',
    ['8BITMIME'],
    ['MAIL FROM:<>', 'RCPT TO:<b@b.test>', 'DATA', 'A: b\r\n\r\nü\r\n.'],
    /^554 5\.6\.1 /,
  ],
  [
    'an 8-bit header without SMTPUTF8',
    ['8BITMIME'],
    ['MAIL FROM:<> BODY=8BITMIME', 'RCPT TO:<b@b.test>', 'DATA', 'A: ü\r\n\r\nu\r\n.'],
    /^554 5\.6\.7 /,
  ],
  [
    '8-bit content that is declared',
    ['8BITMIME'],
    ['MAIL FROM:<> BODY=8BITMIME', 'RCPT TO:<b@b.test>', 'DATA', 'A: b\r\n\r\nü\r\n.'],
    /^250 /,
  ],
  [
    'content above the limit',
    ['SIZE 10'],
    ['MAIL FROM:<>', 'RCPT TO:<b@b.test>', 'DATA', 'A: b\r\n\r\nlong\r\n.'],
    /^552 5\.3\.4 /,
  ],
  ['commands at once without PIPELINING', [], ['MAIL FROM:<>\r\nNOOP'], /^503 5\.5\.0 /],
  ['commands at once with PIPELINING', ['PIPELINING'], ['MAIL FROM:<>\r\nNOOP'], /^250 /],
  ['BDAT', ['PIPELINING'], ['BDAT 0 LAST'], /^502 /],
  ['STARTTLS', ['PIPELINING'], ['STARTTLS'], /^502 /],
]

for (const [name, keywords, lines, expected] of cases)
  test(`a strict receiver that offers ${keywords.join(' and ') || 'nothing'}: ${name}`, async () => {
    await using receiver = await startReceiver({ keywords, isStrict: true })
    const socket = net.connect(receiver.port, '127.0.0.1')
    const replies = socket.setEncoding('utf8')[Symbol.asyncIterator]()
    await replies.next()
    let reply = ''
    for (const line of lines) {
      socket.write(`${line}\r\n`)
      reply = String((await replies.next()).value)
    }
    socket.destroy()
    assert.match(reply, expected)
  })
