// dkimpy and Mail::DKIM as judges: one run of a small script for many mails, which asks the name server of the test.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runOrThrow, Scratch } from '../../../support/peers/index.ts'
import type { JudgeName } from './programs.ts'
import type { Judge, Keys, Verdict } from './verdict.ts'

export function dkimPy(keys: Keys): Judge {
  return scripted('dkimpy', ['/usr/bin/python3', join(import.meta.dirname, 'dkimpy.py')], keys)
}

export function mailDkim(keys: Keys): Judge {
  return scripted('Mail::DKIM', ['/usr/bin/perl', join(import.meta.dirname, 'mail-dkim.pl')], keys)
}

function scripted(
  name: JudgeName,
  [command, script]: readonly [command: string, script: string],
  { dns }: Keys,
): Judge {
  return {
    name,
    judge: async mails => {
      await using scratch = await Scratch.create('judge')
      const files = mails.map((_, index) => join(scratch.path, `${index}.eml`))
      for (const [index, mail] of mails.entries()) await writeFile(files[index]!, mail)
      const args = [script, dns.address, String(dns.port), ...files]
      const said = await runOrThrow(command, args, { timeoutMs: 300_000 })
      const verdicts = said
        .trim()
        .split('\n')
        .map(line => JSON.parse(line) as Verdict[])
      if (verdicts.length !== mails.length)
        throw new Error(`${name} judged ${verdicts.length} of ${mails.length} mails`)
      return verdicts
    },
    [Symbol.asyncDispose]: async () => {},
  }
}
