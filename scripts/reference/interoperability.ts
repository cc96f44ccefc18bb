// Generates the page on interoperability from the tables that its tests run on: programs, corpus, judges.
//
// `test/interop/receivers.test.ts` and `dkim.test.ts` fail when a version, a change or a judgement is not as said here.

import { families, type RefusedSample, refused } from '../../test/interop/support/corpus/index.ts'
import { judgePrograms } from '../../test/interop/support/judges/index.ts'
import { programs } from '../../test/interop/support/programs.ts'
import { kinds } from '../../test/interop/support/receiver-kinds.ts'

export function interoperabilityReference(): string {
  const count = Object.values(families).flat().length
  return `# Interoperability

With which programs Postrider is tested on every run of the tests, and what was compared. Real programs over real sockets; the tests and these tables are in \`test/interop\`.

## Receivers

| Program | Version | Tested as |
| --- | --- | --- |
${Object.entries(programs).map(programRow).join('\n')}

${count} odd mails, and one of 25 MiB, go through Postrider to each of them, found by MX through Unbound and Knot. What comes out is compared **byte for byte**:

1. A recorder that takes no mail apart shows what Postrider sends: the mail as it was handed in, below the fields that Postrider puts in front (Received, DKIM-Signature, and Message-ID and Date when they were missing). A mail whose last line has no end gets one. Nothing else differs.
2. The same bytes come again after a first refusal, when the mail is read back from the disk.
3. What comes out of a program, below its own Received field, is what the recorder got. Where it is not, the same bytes are handed to the program directly, without Postrider in between: it then makes the same change, and only the changes [listed below](#what-the-programs-change-by-themselves) are let pass.

| Family | Mails | For instance |
| --- | --- | --- |
${Object.entries(families)
  .map(([family, samples]) => `| ${family} | ${samples.length} | ${examples(samples.map(one => one.name))} |`)
  .join('\n')}

| Tested in the clear and over STARTTLS | With |
| --- | --- |
| 100 recipients in one message | all; with Postfix some of them refused |
| a message above the announced SIZE: bounced without being sent | all |
| a message just below it: taken | all |
| 8-bit content, unchanged | all |
| UTF-8 addresses and fields by SMTPUTF8 | Postfix, Exim, smtp-server |
| no SMTPUTF8: what needs it bounces, the rest goes | OpenSMTPD, sendmail |
| DSN parameters that go on from there | all |

| Also tested | With |
| --- | --- |
| no SIZE, and a refusal behind the content: bounced | Postfix, smtp-server |
| PIPELINING | Postfix, Exim, sendmail, smtp-server |
| no PIPELINING: one command at a time | Postfix, OpenSMTPD, smtp-server |
| no 8BITMIME: encoded anew, and signed anew | Postfix, Exim, smtp-server |
| TLS demanded by the server | Postfix, Exim, OpenSMTPD |
| greylisting | all, with postgrey 1.37 |
| payloads that smuggle a second mail | Postfix, chasquid |
| bursts to a server that loses grouped commands | chasquid |

Debian's OpenSMTPD 6.8.0p2 fails each TLS handshake where it is installed, since OpenSSL 3 gives it copies of its keys. It is tested so, as a server whose TLS is broken, and with an OpenSSL that reads keys the old way, where its TLS works.

### What the programs change by themselves

| Program | What it does | To which mails |
| --- | --- | --- |
${Object.values(programs)
  .flatMap(program =>
    program.changes.map(change => `| ${program.title} | ${change.what} | ${list(change.samples)} |`),
  )
  .join('\n')}

### What is refused at the door

These never leave, since servers would disagree on what they say.

| Mail | Reply |
| --- | --- |
${refused.map(refusedRow).join('\n')}

## DKIM

Every mail of the corpus, signed with RSA-2048 and Ed25519, is judged by five verifiers: as sent, behind a further Postfix with Debian's defaults, and encoded anew for a server without 8BITMIME. So are mails that a door changes on demand (\`long_lines = "encode"\`, \`bare_lf = "mend"\`). The judges find the key records that \`postrider domain show\` prints in Knot; OpenDKIM's test mode gets them from a file.

| Judge | Version | Ed25519 |
| --- | --- | --- |
${Object.entries(judgePrograms)
  .map(
    ([name, { version, knowsEd25519 }]) =>
      `| ${name} | ${version} | ${knowsEd25519 ? 'yes' : 'not known to it; RSA passes'} |`,
  )
  .join('\n')}

All pass, but for these mails, which the judge refuses from another signer (mailauth), too:

| Judge | How it errs | Of which mails |
| --- | --- | --- |
${Object.entries(judgePrograms)
  .flatMap(([name, { errs }]) => errs.map(one => `| ${name} | ${one.how} | ${list(one.samples)} |`))
  .join('\n')}

Behind a Postfix that counts us as a local client, mails with addresses without a domain fail at all of them: that Postfix completes the addresses in To, which is signed. A changed body or a second From passes at none.
`
}

function programRow([key, program]: [string, (typeof programs)[keyof typeof programs]]): string {
  const ways = kinds.filter(kind => kind.program === key).map(kind => wayOf(kind.name))
  return `| ${program.title} | ${program.version} | ${ways.join('; ')} |`
}

/** "Postfix with STARTTLS" → "with STARTTLS". */
function wayOf(name: string): string {
  return name.replace(/^\S+ (?:that )?/, '')
}

function examples(names: readonly string[]): string {
  return list([0, 0.4, 0.8].map(part => names[Math.floor(names.length * part)]!))
}

function list(names: readonly string[]): string {
  return names.join('; ')
}

function refusedRow({ name, reply: [code, enhancedCode, stableCode] }: RefusedSample): string {
  return `| ${name} | \`${code} ${enhancedCode}\`${stableCode === '' ? '' : ` \`[${stableCode}]\``} |`
}
