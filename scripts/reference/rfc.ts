// docs/reference/rfc.md: what is kept of which RFC, from the dialogues and tables that the tests play.
//
// The page says nothing that is not a row of a transcript: see test/conformance/rfc/dialogues/README.md.

import {
  type Dialogue,
  type DialogueFile,
  readDialogues,
  type Status,
  type Step,
} from '../../test/conformance/rfc/dialogue.ts'

import { dnsCases } from '../../test/interop/support/dns-cases.ts'
import { mxCases } from '../../test/interop/support/mx-cases.ts'

const folder = '../../test/conformance/rfc/dialogues'
const words: Readonly<Record<Status, string>> = { supported: '', limit: 'limit', refused: 'not supported' }

/** The page. */
export function rfcReference(): string {
  const files = readDialogues()
  const dialogues = files.flatMap(file => file.dialogues)
  return `# RFCs

What Postrider keeps of which RFC, as server (mail comes in) and as client (mail leaves). Each row is a dialogue that the tests play over real sockets against a running Postrider: ${dialogues.length} in all. The transcripts are short and meant to be read: [how they are written](${folder}/README.md).

## At a glance

${glance(files)}

## Not supported

Commands, parameters and mechanisms that are not there, with the answer that a client gets. No EHLO keyword is offered that is not kept on every path.

| What | RFC | Answer |
|---|---|---|
${dialogues
  .filter(one => one.status === 'refused')
  .map(one => `| ${cell(one.rule)} | ${reference(one)} | ${answer(one)} |`)
  .join('\n')}

${files
  .filter(file => file.dialogues.some(one => one.status !== 'refused'))
  .map(section)
  .join('\n\n')}

## Where mail goes

RFC 5321 §5 and RFC 7505, played with Knot as the authoritative server behind Unbound (\`test/interop/dns.test.ts\`).

| Rule | What becomes of the mail |
|---|---|
${dnsCases.map(one => `| ${cell(one.name)} | ${outcome(one)} |`).join('\n')}

## What MX hosts do

Greetings, failures in a transaction, TLS and extensions of the hosts of a domain (\`test/interop/mx-hosts.test.ts\`). "Later" is the first attempt after \`delivery.tls_fallback_after\`.

| Rule | What becomes of the mail | Later |
|---|---|---|
${mxCases.map(one => `| ${cell(one.name)} | ${outcome(one.first)} | ${one.second === undefined ? '' : outcome(one.second)} |`).join('\n')}`
}

interface Outcome {
  readonly kind: string
  readonly code?: number
  readonly enhancedCode?: string
}

/** `bounced 556 5.1.10`; how it went where it was delivered. */
function outcome(one: Outcome & { readonly isTls?: boolean }): string {
  const how = one.isTls === undefined ? '' : one.isTls ? 'over TLS' : 'in clear text'
  const code = one.code ?? ''
  return [one.kind, code, one.enhancedCode ?? '', how].filter(part => part !== '').join(' ')
}

function glance(files: readonly DialogueFile[]): string {
  const titles = new Map(files.map(file => [file.rfc, file.title]))
  const count = (rfc: number, side: Dialogue['side']): string => {
    const found = files.filter(file => file.rfc === rfc && file.side === side).flatMap(file => file.dialogues)
    if (found.length === 0) return ''
    return found.every(one => one.status === 'refused') ? words.refused : String(found.length)
  }
  const rows = [...titles].map(
    ([rfc, title]) => `| ${name(rfc)} | ${title} | ${count(rfc, 'server')} | ${count(rfc, 'client')} |`,
  )
  return ['| | Subject | Dialogues as server | as client |', '|---|---|---|---|', ...rows].join('\n')
}

function section(file: DialogueFile): string {
  const rows = file.dialogues.map(
    one => `| ${one.section} | ${cell(one.rule)} | ${answer(one)} | ${words[one.status]} |`,
  )
  return `## ${name(file.rfc)} as ${file.side}

${file.about} [Transcripts](${folder}/${file.name})

| Section | Rule | ${file.side === 'server' ? 'Answer' : 'Outcome'} | |
|---|---|---|---|
${rows.join('\n')}`
}

const name = (rfc: number): string => (rfc === 0 ? 'PROXY protocol' : `RFC ${rfc}`)
const reference = ({ rfc, section: at }: Dialogue): string => `${name(rfc)} ${at}`
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '\\<')

/** What a dialogue comes to: the first refusal of a server, else its last word; the outcomes of a client. */
function answer({ side, steps, outcomes }: Dialogue): string {
  if (side === 'client') return [...new Set(outcomes.map(one => one.replace(/^\S+ /, '')))].join('; ')
  const replies = steps.filter(isReply)
  const told = replies.find(one => /^[45]/.test(one.text)) ?? replies.at(-1)
  const closes = steps.at(-1)?.text === '(closes)' ? 'closes' : undefined
  if (told === undefined && closes === undefined)
    return steps.some(one => one.text.endsWith('fails)')) ? 'the handshake fails' : ''
  const code = told === undefined ? undefined : /^[\dx]+(?: \d\.\d+\.\d+)?/.exec(told.text)?.[0]
  return [code, closes].filter(one => one !== undefined).join(', ')
}

const isReply = ({ speaker, text }: Step): boolean => speaker === 'server' && /^\d/.test(text)
