// Control commands about accounts, credentials, domains and streams.
//
// Invariant: a change is answered only when every thread has forgotten what it knew before (what a command has returned is
// in force in every thread), and is in the log once it is stored.

import type { AccountResult } from '../../accounts/index.ts'
import type { LogFields } from '../../telemetry/index.ts'
import type { ControlCall, ControlCommand, ControlCommands } from './command.ts'
import type { ControlPorts } from './ports.ts'
import { sendRows } from './rows.ts'
import { type ControlOutcome, done, failed } from './wire.ts'

type Ports = Pick<ControlPorts, 'accounts' | 'accountService' | 'threads' | 'log'>

const repairs = {
  longLines: ['refuse', 'encode'],
  bareLf: ['refuse', 'mend'],
} as const

/** `account.*`, `credential.*`, `domain.*`, `stream.*`. */
export function accountCommands(ports: Ports): ControlCommands {
  const service = ports.accountService
  /** The outcome of a change, after all threads know of it. `told` picks what the log may have: no secret. */
  const changed = async <T>(
    command: string,
    result: AccountResult<T>,
    told: (value: T) => LogFields,
  ): Promise<ControlOutcome> => {
    if (!result.ok) return result
    ports.log.event('operator.action', { command, ...told(result.value) })
    ports.accounts.forget()
    await ports.threads.accountsChanged()
    return done(result.value)
  }
  const listed = async <T>(result: AccountResult<Iterable<T>>, call: ControlCall): Promise<ControlOutcome> =>
    result.ok ? await sendRows(result.value, call) : result
  const shown = (result: AccountResult<unknown>): ControlOutcome => (result.ok ? done(result.value) : result)

  return {
    'account.create': async given => {
      const name = given.text('name')
      if (given.problem !== null) return given.problem
      return await changed('account.create', await service.createAccount(name), one => ({
        account: one.name,
        id: one.id,
      }))
    },
    'account.list': async (given, call) => given.problem ?? (await sendRows(service.listAccounts(), call)),

    'credential.create': async given => {
      const account = given.text('account')
      const kind = given.choice('kind', ['smtp', 'api']) ?? 'smtp'
      const stream = given.optionalText('stream')
      const longLines = given.choice('longLines', repairs.longLines)
      const bareLf = given.choice('bareLf', repairs.bareLf)
      if (given.problem !== null) return given.problem
      return await changed(
        'credential.create',
        await service.createCredential({
          account,
          kind,
          ...(stream === undefined ? {} : { stream }),
          ...(longLines === undefined ? {} : { longLines }),
          ...(bareLf === undefined ? {} : { bareLf }),
        }),
        one => ({ account: one.account, id: one.id, kind: one.kind, username: one.username }),
      )
    },
    'credential.list': async (given, call) => {
      const account = given.optionalText('account')
      return given.problem ?? (await listed(service.listCredentials(account), call))
    },
    'credential.revoke': async given => {
      const credential = given.text('credential')
      if (given.problem !== null) return given.problem
      return await changed('credential.revoke', await service.revokeCredential(credential), one => ({
        account: one.account,
        id: one.id,
        kind: one.kind,
        username: one.username,
      }))
    },

    'domain.add': async given => {
      const account = given.text('account')
      const domain = given.text('domain')
      const isTrusted = given.flag('trust', false)
      const signs = given.flag('dkim', true)
      if (given.problem !== null) return given.problem
      const added = await service.addDomain({ account, domain, isTrusted, signs })
      return await changed('domain.add', added, one => ({
        account: one.account,
        domain: one.domain,
        id: one.id,
        status: one.status,
        dkim: one.dkim,
      }))
    },
    'domain.list': async (given, call) => {
      const account = given.optionalText('account')
      return given.problem ?? (await listed(service.listDomains(account), call))
    },
    'domain.show': async given => {
      const domain = given.text('domain')
      const account = given.optionalText('account')
      return given.problem ?? shown(service.showDomain(domain, account))
    },
    'domain.verify': verifyDomain(ports),

    'stream.list': async (given, call) => {
      const account = given.optionalText('account')
      return given.problem ?? (await listed(service.listStreams(account), call))
    },
    'stream.update': async given => {
      const account = given.text('account')
      const stream = given.text('stream')
      const kind = given.choice('kind', ['transactional', 'broadcast'])
      const failureReport = given.choice('failureReport', ['event', 'event+dsn'])
      const priority = given.whole('priority', [0, 9])
      if (given.problem !== null) return given.problem
      const change = {
        ...(kind === undefined ? {} : { kind }),
        ...(failureReport === undefined ? {} : { failureReport }),
        ...(priority === undefined ? {} : { priority }),
      }
      return await changed('stream.update', await service.updateStream(account, stream, change), one => ({
        account: one.account,
        stream: one.name,
        id: one.id,
        change,
      }))
    },
  }
}

/** Proof in DNS comes later; until then only the operator's word makes a domain ready. */
function verifyDomain(ports: Ports): ControlCommand {
  return async given => {
    const domain = given.text('domain')
    const account = given.optionalText('account')
    if (given.problem !== null) return given.problem
    const found = ports.accountService.showDomain(domain, account)
    if (!found.ok) return found
    if (found.value.status !== 'pending') return done(found.value)
    return failed(
      'not-available',
      `${found.value.domain} cannot be proved in DNS by this version`,
      `vouch for it yourself: postrider domain add --account ${found.value.account} ${found.value.domain} --trust`,
    )
  }
}
