// `postrider domain add|verify|list|show`: the domains that accounts send as, with their DKIM keys and DNS records.
//
// Adding makes the keys at once; with --trust the operator vouches and the domain may send, signed, from that moment.
// The same for a domain that was added without it.

import type { Command } from 'commander'
import type { DomainJson } from '../accounts/index.ts'
import type { Cli } from './cli.ts'
import { said } from './options.ts'
import { formatTable } from './table.ts'
import type { Tone } from './text.ts'

const statusTones: Readonly<Record<DomainJson['status'], Tone>> = {
  trusted: 'good',
  verified: 'good',
  pending: 'careful',
}

interface AddOptions {
  readonly account: string
  readonly trust?: boolean
  readonly dkim: boolean
}

/** Adds `domain`. */
export function domainCommand(program: Command, cli: Cli): void {
  const domain = program.command('domain').description('sender domains, their DKIM keys and DNS records')
  const print = (found: DomainJson): Promise<void> => cli.print(found, one => describeDomain(one, cli))

  domain
    .command('add')
    .description('add a sender domain; its DKIM keys are made at once')
    .argument('<domain>', 'the domain of the sender addresses')
    .requiredOption('--account <account>', 'id or name of the account')
    .option(
      '--trust',
      'vouch for it, also when it is there and pending: it may send, signed, without proof in DNS',
    )
    .option('--no-dkim', 'leave its messages unsigned')
    .action(async (name: string, { account, trust, dkim }: AddOptions) => {
      await print(
        await cli.call<DomainJson>('domain.add', { account, domain: name, trust: trust === true, dkim }),
      )
    })

  domain
    .command('verify')
    .description('check the proof of a domain in DNS: not in this version')
    .argument('<domain>', 'its id or name')
    .option('--account <account>', 'needed when several accounts have it')
    .action(async (name: string, { account }: { account?: string }) => {
      await print(await cli.call<DomainJson>('domain.verify', said({ domain: name, account })))
    })

  domain
    .command('list')
    .description('list the domains')
    .option('--account <account>', 'only those of this account')
    .action(async ({ account }: { account?: string }) => {
      const rows = await cli.list<DomainJson>('domain.list', said({ account }))
      await cli.print(rows, all =>
        formatTable(
          [
            { title: 'DOMAIN', cell: (row: DomainJson) => row.domain },
            { title: 'ACCOUNT', cell: row => row.account },
            { title: 'STATUS', cell: row => ({ text: row.status, tone: statusTones[row.status] }) },
            { title: 'DKIM', cell: row => (row.dkim ? 'signs' : 'off') },
            { title: 'ID', cell: row => row.id },
          ],
          all,
          cli.paint,
          'no domains yet: postrider domain add --account NAME DOMAIN --trust',
        ),
      )
    })

  domain
    .command('show')
    .description('show a domain with the DNS records it needs')
    .argument('<domain>', 'its id or name')
    .option('--account <account>', 'needed when several accounts have it')
    .action(async (name: string, { account }: { account?: string }) => {
      await print(await cli.call<DomainJson>('domain.show', said({ domain: name, account })))
    })
}

function describeDomain(domain: DomainJson, cli: Cli): string {
  const { paint } = cli
  const status = paint(statusTones[domain.status], domain.status)
  const meaning =
    domain.status === 'pending'
      ? `it may not send yet; vouch for it with: postrider domain add --account ${domain.account} ${domain.domain} --trust`
      : domain.dkim
        ? 'it may send, signed'
        : 'it may send, unsigned'
  const records = domain.records.map(
    ({ type, name, value, purpose }) => `\n${paint('strong', purpose)}  ${type}  ${name}\n  ${value}\n`,
  )
  return `${domain.domain} of account ${domain.account}: ${status}, ${meaning} (${domain.id})\n\nDNS records to publish:\n${records.join('')}`
}
