// What a transcript expects of a reply: `250`, `5xx`, `250 2.1.0`, then texts that its lines hold (` + PIPELINING`), do
// not hold (` - ETRN`), or a pattern that the last line matches (` ~ ^Queued`).

import assert from 'node:assert/strict'
import type { ClientReply } from '../../scenario/support/client.ts'

/** Throws unless the reply is as expected. */
export function checkReply(expected: string, reply: ClientReply): void {
  const [, code = '', enhanced = '', rest = ''] =
    /^(\d\d\d|\dxx)(?: (\d\.\d+\.\d+))?(.*)$/.exec(expected) ?? []
  assert.notEqual(code, '', `"${expected}" is no expected reply`)
  const shown = `${reply.code} ${reply.lines.join(' / ')}`
  if (code.endsWith('xx')) assert.equal(String(reply.code)[0], code[0], shown)
  else assert.equal(reply.code, Number(code), shown)
  if (enhanced !== '') assert.ok(reply.lines.at(-1)?.startsWith(`${enhanced} `), shown)
  for (const part of rest.split(/ (?=[+~-] )/).filter(one => one !== '')) {
    const text = part.slice(2)
    if (part.startsWith('~')) assert.match(reply.lines.at(-1) ?? '', new RegExp(text))
    else assert.equal(reply.lines.includes(text), part.startsWith('+'), `${part}: ${shown}`)
  }
}
