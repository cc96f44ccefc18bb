// What the clients are given to send, and the check that it arrived: text with dot lines and 8-bit letters, a subject
// that is not ASCII, an attachment, two recipients.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dkimVerify } from 'mailauth'
import PostalMime from 'postal-mime'
import type { Received } from '../../scenario/support/receiver.ts'
import { assertArrived } from './arrived.ts'
import { type KeyRecords, resolverOf } from './key-records.ts'

/** `file`: sends message.eml as it is. `composed`: makes a message of letter.txt and invoice.pdf. `patch`: git. */
export type MailKind = 'file' | 'composed' | 'patch'
/** What some clients do to a mail before they send it. */
export type MailHabit = 'adds a line end' | 'escapes From'

const letter = [
  'Dear Bob,',
  '',
  '.a line that begins with a dot',
  '..and one with two',
  '.',
  'From a line that looks like an mbox',
  '\ttab – naïve, Größe, 語',
  '',
  'the end',
  '',
].join('\n')
const subject = 'Grüße aus Köln'

/** Bytes that would not survive a text channel. */
function invoice(sizeBytes: number): Buffer {
  return Buffer.from(Array.from({ length: sizeBytes }, (_, index) => (index * 7 + (index >> 8)) & 255))
}

function eml(to: string, filler: string): string {
  return [
    'From: Ann <ann@example.com>',
    `To: <${to}>`,
    `Subject: ${subject}  with two  spaces and`,
    '\ta fold',
    'Date: Mon, 23 Nov 2026 10:00:00 +0000',
    `Message-ID: <${to.replace('@', '.')}@example.com>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    filler + letter,
  ].join('\n')
}

function patch(filler: string): string {
  const lines = `${filler}${letter}`.split('\n').slice(0, -1)
  return [
    'From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001',
    'From: Ann <ann@example.com>',
    'Date: Mon, 23 Nov 2026 10:00:00 +0000',
    `Subject: [PATCH] ${subject}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=UTF-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    'What it is for.',
    '---',
    ' letter.txt | 10 ++++++++++',
    '',
    'diff --git a/letter.txt b/letter.txt',
    'new file mode 100644',
    '--- /dev/null',
    '+++ b/letter.txt',
    `@@ -0,0 +1,${lines.length} @@`,
    ...lines.map(line => `+${line}`),
    '-- ',
    '2.39.5',
    '',
  ].join('\n')
}

const fillerLine = `${'x'.repeat(70)}\n`
/** More than a store keeps beside its rows, so that the content goes by way of segments. */
const usualSizeBytes = 100_000

const fillerOf = (sizeBytes: number): string => fillerLine.repeat(Math.ceil(sizeBytes / fillerLine.length))

/** Writes letter.txt, invoice.pdf, message.eml and 0001-change.patch. `sizeBytes` is what the last three are at least. */
export async function writeMail(
  folder: string,
  to: string,
  sizeBytes: number = usualSizeBytes,
): Promise<void> {
  const filler = fillerOf(sizeBytes)
  await writeFile(join(folder, 'letter.txt'), letter)
  await writeFile(join(folder, 'invoice.pdf'), invoice(sizeBytes))
  await writeFile(join(folder, 'message.eml'), eml(to, filler))
  await writeFile(join(folder, '0001-change.patch'), patch(filler))
}

const plainLines = (text: string): string => text.replaceAll('\r\n', '\n').trimEnd()

/** Fails unless the mail is what {@link writeMail} wrote, is from Ann and is signed. */
export async function assertMail(
  mail: Received,
  client: { readonly sends: MailKind; readonly habit?: MailHabit },
  to: string,
  records: KeyRecords,
): Promise<void> {
  const { sends: kind, habit } = client
  assert.equal(mail.from, 'ann@example.com')
  if (kind === 'file') {
    const sent = eml(to, fillerOf(usualSizeBytes)) + (habit === 'adds a line end' ? '\n' : '')
    assertArrived(mail.content, Buffer.from(sent.replaceAll('\n', '\r\n'), 'utf8'))
  } else {
    const parsed = await PostalMime.parse(mail.content)
    assert.equal(parsed.from?.address, 'ann@example.com')
    assert.equal(parsed.from?.name, 'Ann')
    const isPatch = kind === 'patch'
    assert.equal(parsed.subject, isPatch ? `[PATCH] ${subject}` : subject)
    const wanted = isPatch ? patch(fillerOf(usualSizeBytes)).split('\n\n').slice(1).join('\n\n') : letter
    const written = habit === 'escapes From' ? wanted.replace('\nFrom ', '\n>From ') : wanted
    assert.equal(plainLines(parsed.text ?? ''), plainLines(written))
    const attachments = parsed.attachments.map(one => [one.filename, Buffer.from(one.content as ArrayBuffer)])
    assert.deepEqual(attachments, isPatch ? [] : [['invoice.pdf', invoice(usualSizeBytes)]])
  }
  const { results } = await dkimVerify(mail.content, { resolver: resolverOf(records) })
  const told = results.map(one => `${one.algo} ${one.signingDomain} ${one.status.result}`).sort()
  assert.deepEqual(told, ['ed25519-sha256 example.com pass', 'rsa-sha256 example.com pass'])
}
