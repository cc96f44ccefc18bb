// Key records as a test says they stand in DNS, for verifiers that run in the process of the test.

/** Key records: `selector._domainkey.domain` and the record's text. */
export type KeyRecords = Readonly<Record<string, string>>

/** Answers TXT questions from the records, as mailauth asks them. */
export function resolverOf(records: KeyRecords): (name: string, type: string) => Promise<string[][]> {
  return async (name, type) => {
    const text = type === 'TXT' ? records[name] : undefined
    if (text === undefined)
      throw Object.assign(new Error(`no ${type} record of ${name}`), { code: 'ENOTFOUND' })
    return [[text]]
  }
}
