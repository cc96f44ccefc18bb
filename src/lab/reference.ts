// The reference page of the lab as Markdown, made from the tables that the lab itself uses.

import { addressOf, type LabHostSpec, labDomains, labHosts, labHostZone } from './hosts.ts'
import { magicAddresses } from './magic.ts'
import { labPresets } from './presets.ts'

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |\n`).join('')

const code = (text: string): string => `\`${text}\``

function hostRow(spec: LabHostSpec): string[] {
  const { label, domain, text } = spec
  const name = `${label}.${labHostZone}`
  return [code(name), code(addressOf(spec)), domain === undefined ? '' : code(`any@${domain}`), text]
}

/** The page `docs/reference/lab.md`, without the notice that it is generated. */
export function labReference(): string {
  return `# The lab

The lab is a small internet on loopback: a DNS server for \`.test\`, receiving mail servers that behave well or badly as the address asks, and an inbox. The first run without a configuration has it on; \`[lab] enabled = true\` turns it on elsewhere; \`postrider lab run\` starts one by itself. Every name under \`.test\` has two MX hosts in the lab, so any recipient there is delivered by the real delivery path. Nothing leaves the machine, unless \`[dns] servers\` are named: then other domains are looked up there.

\`postrider lab inbox list\` shows what arrived, \`postrider lab inbox show ID\` one message, \`postrider lab behave TARGET BEHAVIOUR\` changes a host, a domain or (\`*\`) all of them while the lab runs.

## Magic addresses

The local part of a recipient says what happens to it, under every domain. A \`+tag\` at its end makes another address with counts of its own. Counts are kept by sender, recipient and message (its ENVID or SIZE).

${table(
  ['Local part', 'What happens', 'Example'],
  magicAddresses.map(({ form, text, example }) => [
    form
      .split(', ')
      .map(one => (one.startsWith('with ') ? one : code(one)))
      .join(', '),
    text,
    code(`${example}@inbox.test`),
  ]),
)}
A sender whose local part is \`mail-CODE\` or \`mail-CODE-ENHANCED\`, for instance \`mail-451@example.test\`, gets that reply to MAIL.

## Domains with a host of their own

On systems that know only 127.0.0.1 (macOS) all hosts are one, which takes everything; magic addresses work there.

${table(['Host', 'Address', 'Reached by', 'Behaviour'], labHosts.map(hostRow))}
## Domains with DNS of their own

${table(
  ['Domain', 'What is special'],
  labDomains.map(({ domain, text }) => [code(domain), text]),
)}
## Behaviours to set

${table(
  ['Behaviour', 'What it does'],
  labPresets.map(({ name, text }) => [code(name), text]),
)}`
}
