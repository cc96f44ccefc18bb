// What package.json says of this program.

import { readFileSync } from 'node:fs'

export interface PackageFacts {
  readonly version: string
  /** The oldest Node that it runs on, such as `26.1`. */
  readonly nodeMin: string
}

/** Reads it. bin/postrider.js does so by itself: it must run on any Node. */
export function readPackageFacts(): PackageFacts {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version, engines } = JSON.parse(text) as { version: string; engines: { node: string } }
  return { version, nodeMin: engines.node.replace('>=', '') }
}
