// The rules of the repository as data: who may import whom, what must not be written, and how large files may be.
//
// This is the one table of them. A change here is a change of the architecture: say why in the same commit.

/** Whom a room may import, beside itself. Always through an index.ts, or as types from a port (see `portFiles`). */
export interface RoomRule {
  readonly room: string
  readonly mayImport: readonly string[]
  /** Types only: the thing itself is handed in by `app`. */
  readonly mayImportTypesOf?: readonly string[]
  readonly why: string
}

const stages = ['intake', 'queue', 'delivery', 'feedback'] as const

export const roomRules: readonly RoomRule[] = [
  { room: 'base', mayImport: [], why: 'Ids, clock and packed bytes: everybody stands on it.' },
  { room: 'protocol', mayImport: [], why: 'Pure protocol code, usable without Postrider.' },
  { room: 'telemetry', mayImport: ['base'], why: 'Everybody may tell it things, so it knows nobody.' },
  { room: 'config', mayImport: ['base'], why: 'Read before anything else exists.' },
  {
    room: 'events',
    mayImport: ['base', 'protocol'],
    why: 'The log outlives the stages and knows none of them.',
  },
  { room: 'accounts', mayImport: ['base', 'protocol'], why: 'Asked by every door; asks nobody.' },
  {
    room: 'queue',
    mayImport: ['base', 'protocol', 'events', 'accounts'],
    mayImportTypesOf: ['telemetry'],
    why: 'Knows what waits, and neither who brought it nor who takes it.',
  },
  {
    room: 'intake',
    mayImport: ['base', 'protocol', 'queue', 'accounts', 'events'],
    mayImportTypesOf: ['telemetry'],
    why: 'The doors hand messages to the queue.',
  },
  {
    room: 'delivery',
    mayImport: ['base', 'protocol', 'queue', 'accounts', 'events'],
    mayImportTypesOf: ['telemetry'],
    why: 'Takes from the queue and gives outcomes back.',
  },
  {
    room: 'feedback',
    mayImport: ['base', 'protocol', 'delivery', 'accounts', 'events'],
    mayImportTypesOf: ['telemetry'],
    why: 'Turns what comes back into outcomes.',
  },
  {
    room: 'store',
    mayImport: ['base', 'queue', 'accounts', 'events'],
    mayImportTypesOf: ['delivery', 'intake', 'telemetry'],
    why: 'Implements the ports of the rooms; knows their words and none of their work.',
  },
  {
    room: 'lab',
    mayImport: ['base', 'protocol', 'config'],
    mayImportTypesOf: ['telemetry'],
    why: 'A small internet outside of Postrider; of config it needs certificates.',
  },
  {
    room: 'api',
    mayImport: ['base', 'protocol', 'config', 'telemetry', 'accounts', 'events', ...stages],
    why: 'Shows and steers everything through the indexes of the rooms.',
  },
  {
    room: 'cli',
    mayImport: ['base', 'protocol', 'config', 'accounts', 'events', 'queue', 'api', 'delivery', 'lab'],
    why: 'Speaks to a running server; what needs the inside of one is handed in by main.ts.',
  },
  {
    room: 'app',
    mayImport: [
      'base',
      'protocol',
      'config',
      'telemetry',
      'accounts',
      'events',
      'store',
      'lab',
      'api',
      ...stages,
    ],
    why: 'The composition root.',
  },
  {
    room: 'main',
    mayImport: ['base', 'app', 'cli', 'store'],
    why: 'The command; hands backup and restore, which need no server, to the CLI.',
  },
]

/** Files that another room may name directly, for types: they are ports, and implementing them is what they are for. */
export const portFiles: RegExp = /^src\/[a-z]+\/(?:port|types|ports)\.ts$/

/** Rooms whose classes anybody may construct: plain values and protocol machines, no parts of the server. */
export const constructible: readonly string[] = ['base', 'protocol', 'events']

/** Exceptions to "only app constructs", by room and class. */
export const mayConstruct: readonly { readonly room: string; readonly name: string; readonly why: string }[] =
  [
    {
      room: 'delivery',
      name: 'ReadyQueue',
      why: 'One for each egress path, made when the path is first needed.',
    },
    {
      room: 'cli',
      name: 'ControlClient',
      why: 'A command is a client of the server and has no app around it.',
    },
  ]

/** Packages and built-ins that only some rooms use. */
export const libraryRules: readonly { readonly library: RegExp; readonly rooms: readonly string[] }[] = [
  { library: /^node:sqlite$/, rooms: ['store'] },
  { library: /^pg$/, rooms: ['store'] },
  { library: /^(pino|prom-client)$/, rooms: ['telemetry'] },
  { library: /^commander$/, rooms: ['cli'] },
  { library: /^smol-toml$/, rooms: ['config'] },
  { library: /^zod$/, rooms: ['config', 'api'] },
  { library: /^dns-packet$/, rooms: ['protocol', 'lab'] },
  { library: /^(mailauth|fast-check|smtp-server)(\/|$)/, rooms: [] },
  { library: /^node:test$/, rooms: [] },
]

export interface Banned {
  readonly name: string
  readonly pattern: RegExp
  /** Which part of the file is searched. */
  readonly inside: 'code' | 'comments' | 'strings'
  /** Paths where it is allowed. */
  readonly except?: RegExp
}

export const banned: readonly Banned[] = [
  { name: 'enum', pattern: /\benum\s+\w+\s*\{/, inside: 'code' },
  { name: 'namespace', pattern: /^\s*(?:export\s+|declare\s+)*namespace\s+\w/m, inside: 'code' },
  { name: 'the type any', pattern: /(?::|\bas|<|\|)\s*any\b(?!\s*\()/, inside: 'code' },
  { name: 'a default export', pattern: /^export\s+default\b/m, inside: 'code' },
  { name: 'console', pattern: /\bconsole\.\w/, inside: 'code', except: /^(src\/cli|bench|scripts|test)\// },
  // One file may: there everything that should end by itself has had its time.
  {
    name: 'process.exit',
    pattern: /\bprocess\.exit\(/,
    inside: 'code',
    except: /^src\/app\/end-limit\.ts$/,
  },
  { name: 'eval', pattern: /\beval\(|\bnew Function\(/, inside: 'code' },
  {
    name: 'a test that is skipped or alone',
    pattern: /\b(?:test|it|describe|suite)\.(?:only|skip|todo)\b|\bskip:|\btodo:|\bonly: true/,
    inside: 'code',
    // Real programs that a machine lacks are skipped there, and never with CI=true.
    except: /^(test\/(interop|support|tidy)|scripts)\//,
  },
  {
    name: 'a test that is left out unseen (test/support/needs-machine.ts says it instead)',
    pattern: /^if \([^\n]*\)\s*\{?\s*(?:test|it|describe|suite)\(/m,
    inside: 'code',
  },
  { name: 'a to-do', pattern: /\b(?:TODO|FIXME|XXX|HACK)\b/, inside: 'comments', except: /^test\/tidy\// },
  { name: 'a page that is not in the repository', pattern: /\bDESIGN\b/, inside: 'comments' },
  { name: 'a silenced check', pattern: /@ts-(?:ignore|expect-error|nocheck)/, inside: 'comments' },
  {
    name: 'SQL outside of the store',
    pattern: /\b(?:SELECT\s[\s\S]*\bFROM|INSERT INTO|DELETE FROM|CREATE TABLE|UPDATE\s+\w+\s+SET)\b/,
    inside: 'strings',
    except: /^(src\/store|test|bench)\//,
  },
]

export const sizes = {
  linesMax: 600,
  /** At least nine files of ten in src. */
  linesOfMost: 350,
  /** The median of src, tests apart. */
  linesMedian: 120,
  headerLinesMin: 3,
  /** A file up to this length may say in one line what it is for. */
  linesOfSmall: 80,
  headerLinesMax: 15,
} as const
