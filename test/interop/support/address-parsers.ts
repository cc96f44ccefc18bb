// The address parsers of others, for a second opinion on ours: which addresses does each see in a field value?
//
// Python's email package (the old parser and the one of its new policy), Perl's Email::Address::XS, postal-mime, and the
// one of nodemailer, which mailauth uses too. Whole corpora go through one process each. An answer is the addresses in
// their order, domains in lower case; what a parser could not read is left out of it.

import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { addressParser } from 'postal-mime'

export const parserNames = ['python', 'python policy', 'perl', 'postal-mime', 'nodemailer'] as const
export type ParserName = (typeof parserNames)[number]

/** What each parser saw in one value: addresses. */
export type Opinions = Readonly<Record<ParserName, readonly string[]>>

/** One line a value, base64 of UTF-8 each; an answer is one line of JSON. */
const pythonScript = `
import sys, base64, json
from email.utils import getaddresses
from email import policy
for line in sys.stdin:
    value = base64.b64decode(line).decode('utf-8', 'surrogateescape')
    old = [a for _, a in getaddresses([value]) if a]
    try:
        field = policy.default.header_factory('From', value)
        new = [a.addr_spec for a in field.addresses if '@' in a.addr_spec or a.addr_spec]
    except Exception as fault:
        new = ['!' + type(fault).__name__]
    print(json.dumps([old, new]))
`

const perlScript = `
use strict; use Email::Address::XS qw(parse_email_groups); use MIME::Base64; use JSON::PP; use Encode;
my $json = JSON::PP->new->ascii;
while (my $line = <STDIN>) {
  my @groups = parse_email_groups(decode_base64($line));
  my @found;
  while (@groups) { shift @groups; my $list = shift @groups; push @found, grep { defined } map { $_->address } @$list; }
  print $json->encode([map { decode('UTF-8', $_) } @found]), "\\n";
}
`

interface ParsedAddress {
  readonly address?: string
  readonly group?: readonly ParsedAddress[]
}

const flat = (list: readonly ParsedAddress[]): string[] =>
  list.flatMap(one => (one.group === undefined ? [one.address ?? ''] : flat(one.group))).filter(Boolean)

function lowerDomain(address: string): string {
  const at = address.lastIndexOf('@')
  return at < 0 ? address : address.slice(0, at) + address.slice(at).toLowerCase()
}

function linesOf(program: string, args: readonly string[], values: readonly string[]): unknown[] {
  const input = `${values.map(value => Buffer.from(value).toString('base64')).join('\n')}\n`
  const output = execFileSync(program, args, { input, maxBuffer: 256 * 1024 * 1024 }).toString()
  return output
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as unknown)
}

/** Asks everybody about every value. */
export function askAll(values: readonly string[]): Opinions[] {
  // The package's types do not name this entry.
  const nodemailer = createRequire(import.meta.url)('nodemailer/lib/addressparser') as (
    value: string,
  ) => readonly ParsedAddress[]
  const python = linesOf('python3', ['-c', pythonScript], values) as [string[], string[]][]
  const perl = linesOf('perl', ['-e', perlScript], values) as string[][]
  return values.map((value, index) => {
    const [old, policy] = python[index]!
    const seen: Record<ParserName, readonly string[]> = {
      python: old,
      'python policy': policy,
      perl: perl[index]!,
      'postal-mime': flat(addressParser(value) as unknown as readonly ParsedAddress[]),
      nodemailer: flat(nodemailer(value)),
    }
    for (const name of parserNames) seen[name] = seen[name].map(lowerDomain)
    return seen
  })
}
